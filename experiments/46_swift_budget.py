"""What does each member of Swift break after the others, and at what price? The budget that its stages are chosen by.

Every candidate works by itself on all that one short ascent leaves, on networks that `22_swift.py` does not judge. Then
the one that breaks most per pass is taken, again and again; each may be given to the nearest to falling alone.

    python experiments/46_swift_budget.py
"""

from __future__ import annotations

import json
import math
import warnings
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
    StagedPGD(steps=40, orders=1, restarts=2),
    *(StagedPGD(steps=steps, restarts=restarts) for steps, restarts in product((20, 40, 80), (1, 2))),
    *(NearestTargets(steps=steps, restarts=each) for steps, each in ((10, 1), (20, 1), (50, 1), (20, 2), (50, 2))),
    *(NearestTargets(steps=steps, targets=9) for steps in (20, 50)),
    NearestTargets(steps=50, targets=1),
    NearestTargets(steps=50, targets=5, restarts=2),
    *(APGD(steps=steps) for steps in (20, 50, 100)),
    *(APGD(steps=50, loss="dlr", targets=targets) for targets in (3, 9)),
    FAB(steps=30, targets=3, stop=True),
    Square(queries=300),
    Square(queries=1000),
)
SHARES = (1.0, 0.5, 0.2, 0.1, 0.05)


class Tried(NamedTuple):
    """A candidate on one network: which examples fall, and what one costs."""

    attack: str
    broken: Tensor
    passes: float


def tried(name: str, count: int, folder: Path) -> dict[str, Any]:
    """All candidates on one network, from a file where they have been found before."""
    path = folder / f"{name}-{count}.json"
    if not path.exists():
        model, data, threat = network(name), examples(name, count), NETS[name].threat
        images, labels = next(data.batches(len(data)))
        view = prepare(model, images, labels)
        found = BASE(view, images, labels, threat, generator=seeded(0))
        with torch.no_grad():
            logits = model(found)
        rows = (~is_fooled(logits, labels)).nonzero().flatten()
        near = margin(logits, labels)[rows].argsort(descending=True, stable=True)
        rows, outcomes = rows[near], []
        for attack in CANDIDATES:
            with Passes(view) as passes, torch.no_grad():
                found = attack(view, images[rows], labels[rows], threat, generator=seeded(1))
                broken = is_fooled(model(found), labels[rows])
            outcomes.append([repr(attack), broken.int().tolist(), passes.count / max(len(rows), 1)])
            print(name, repr(attack), int(broken.sum()), f"{outcomes[-1][2]:.0f}", flush=True)
        path.write_text(json.dumps({"count": len(data), "outcomes": outcomes}))
    return json.loads(path.read_text())  # type: ignore[no-any-return]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--nets", nargs="+", default=HONEST)
    parser.add_argument("--count", type=int, default=600, help="test examples")
    parser.add_argument("--kept", type=Path, default=FOLDER.parent / "budget")
    args = read(parser, nets=["digits-plain"], count=30, kept=Path("quick/budget"))
    args.kept.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    nets = [tried(name, args.count, args.kept) for name in chosen(args.nets)]
    total, standing = sum(each["count"] for each in nets), [torch.tensor(each["outcomes"][0][1]) < 2 for each in nets]
    found = [
        [Tried(attack, torch.tensor(hits).bool(), passes) for attack, hits, passes in net["outcomes"]] for net in nets
    ]
    everything = [torch.stack([each.broken for each in net]).any(0) for net in found]
    say_machine("seeds 0 and 1", f"{total:,} images of {len(nets)} networks", f"{BASE!r} first, on all")
    table_head(
        "member", "on the nearest", "breaks", "of what any of them breaks", "passes an image of all", "per 1,000 passes"
    )
    sought = sum(int(each.sum()) for each in everything)
    got = 0
    while True:
        best = max(_offers(found, standing), key=lambda offer: offer[0])
        if not best[1]:
            break
        rate, hits, price, index, share = best
        got += hits
        table_row(
            CANDIDATES[index], f"{share:g}", hits, f"{got} of {sought}", f"{price / total:.1f}", f"{1000 * rate:.2f}"
        )
        for each, rows in zip(found, standing, strict=True):
            rows &= ~(each[index].broken & _nearest(rows, share))


def _offers(found: list[list[Tried]], standing: list[Tensor]) -> list[tuple[float, int, float, int, float]]:
    """What each candidate would break on each share: hits a pass, hits, passes, who, share."""
    offers = []
    for index, share in product(range(len(CANDIDATES)), SHARES):
        chosen_rows = [_nearest(rows, share) for rows in standing]
        hits = sum(int((each[index].broken & rows).sum()) for each, rows in zip(found, chosen_rows, strict=True))
        price = sum(each[index].passes * int(rows.sum()) for each, rows in zip(found, chosen_rows, strict=True))
        offers.append((hits / max(price, 1), hits, price, index, share))
    return offers


def _nearest(standing: Tensor, share: float) -> Tensor:
    """Of the rows, which come nearest first, those that stand and are among the first of a share of all."""
    rows, least = standing.clone(), min(8, len(standing))
    count = max(math.ceil(share * len(standing)), least)
    return rows & (rows.cumsum(0) <= count)


if __name__ == "__main__":
    main()
