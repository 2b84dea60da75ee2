"""What does each member of Swift break after the others, and at what price? The budget that its stages are chosen by.

Every candidate works by itself on all that one short ascent leaves, on networks that `22_swift.py` does not judge. Then
the one that breaks most per pass is taken, again and again; each may be given to the nearest to falling alone.

    python experiments/46_swift_budget.py
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lib.opening import options, read, say_machine, table_head, table_row
from lib.swift_nets import FOLDER, NETS, Passes, chosen, examples, network
from torch import Tensor

from robustcnn.attacks import APGD, FAB, Attack, NearestTargets, Square, StagedPGD
from robustcnn.attacks.base import is_fooled
from robustcnn.attacks.craft import prepare
from robustcnn.core.losses import margin
from robustcnn.core.runtime import seeded

HONEST = ["digits-plain", "digits-pgd", "digits-trades", "digits-l2", "tune-fashion-pgd", "tune-mnist-trades"]
HONEST += ["tune-signs-free"]
BASE = StagedPGD(steps=40, orders=1)
CANDIDATES: tuple[Attack, ...] = (
    *(StagedPGD(steps=steps, restarts=restarts) for steps, restarts in product((20, 40, 80), (1, 2))),
    *(
        NearestTargets(steps=steps, restarts=each)
        for steps, each in ((10, 1), (20, 1), (50, 1), (50, 2), (100, 1), (200, 1))
    ),
    *(NearestTargets(steps=50, targets=targets) for targets in (1, 9)),
    *(APGD(steps=steps) for steps in (20, 50, 100)),
    *(APGD(steps=50, loss="dlr", targets=targets) for targets in (3, 9)),
    FAB(steps=30, targets=3, stop=True),
    *(Square(queries=queries) for queries in (300, 1000)),
)
SHARES = (1.0, 0.5, 0.2, 0.1, 0.05)


class Tried(NamedTuple):
    """A candidate on one network: which examples fall, and what one costs."""

    broken: Tensor
    passes: float


def tried(name: str, count: int, folder: Path) -> tuple[int, list[Tried]]:
    """All candidates on one network, from a file where they have been found before; and how many images it was."""
    path = folder / f"{name}-{count}.json"
    if not path.exists():
        path.write_text(json.dumps(_outcomes(name, count)))
    total, outcomes = json.loads(path.read_text())
    return total, [Tried(torch.tensor(hits).bool(), passes) for _, hits, passes in outcomes]


def _outcomes(name: str, count: int) -> list[Any]:
    """Of the examples that stand after the base, nearest to falling first."""
    model, data, threat = network(name), examples(name, count), NETS[name].threat
    images, labels = next(data.batches(len(data)))
    view = prepare(model, images, labels)
    with torch.no_grad():
        logits = model(BASE(view, images, labels, threat, generator=seeded(0)))
    rows, outcomes = (~is_fooled(logits, labels)).nonzero().flatten(), []
    rows = rows[margin(logits, labels)[rows].argsort(descending=True, stable=True)]
    for attack in CANDIDATES:
        with Passes(view) as passes, torch.no_grad():
            found = attack(view, images[rows], labels[rows], threat, generator=seeded(1))
            broken = is_fooled(model(found), labels[rows])
        outcomes.append([repr(attack), broken.int().tolist(), passes.count / max(len(rows), 1)])
        print(name, repr(attack), int(broken.sum()), f"{outcomes[-1][2]:.0f}", flush=True)
    return [len(data), outcomes]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--nets", nargs="+", default=HONEST)
    parser.add_argument("--count", type=int, default=600, help="test examples")
    parser.add_argument("--kept", type=Path, default=FOLDER.parent / "budget")
    args = read(parser, nets=["digits-plain"], count=10, kept=Path("quick/budget"))
    args.kept.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    nets = [tried(name, args.count, args.kept) for name in chosen(args.nets)]
    total, found = sum(count for count, _ in nets), [outcomes for _, outcomes in nets]
    standing = [torch.ones_like(outcomes[0].broken) for outcomes in found]
    sought = sum(int(torch.stack([each.broken for each in net]).any(0).sum()) for net in found)
    say_machine("seeds 0 and 1", f"{total:,} images of {len(nets)} networks", f"{BASE!r} first, on all")
    table_head("member", "on the nearest", "breaks", "of what any breaks", "passes an image", "hits per 1,000 passes")
    got = 0
    while (best := max(_offers(found, standing)))[1]:
        rate, hits, price, index, share = best
        got += hits
        table_row(CANDIDATES[index], share, hits, f"{got} of {sought}", round(price / total, 1), round(1000 * rate, 2))
        for each, rows in zip(found, standing, strict=True):
            rows &= ~(each[index].broken & _nearest(rows, share))


def _offers(found: list[list[Tried]], standing: list[Tensor]) -> Iterator[tuple[float, int, float, int, float]]:
    """What each candidate would break on each share: hits a pass, hits, passes, who, share."""
    for index, share in product(range(len(CANDIDATES)), SHARES):
        pairs = [(each[index], _nearest(rows, share)) for each, rows in zip(found, standing, strict=True)]
        hits = sum(int((each.broken & rows).sum()) for each, rows in pairs)
        price = sum(each.passes * int(rows.sum()) for each, rows in pairs)
        yield hits / max(price, 1), hits, price, index, share


def _nearest(standing: Tensor, share: float) -> Tensor:
    """Of rows that come nearest first those that stand, up to a share of all."""
    return standing & (standing.cumsum(0) <= max(math.ceil(share * len(standing)), 8))


if __name__ == "__main__":
    main()
