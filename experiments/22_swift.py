"""How much of AutoAttack's answer does Swift give, and for how much of its price? Paired, on networks of many kinds.

Every outcome is kept in a file as it is found: a second call goes on from there, and prints the table.

    python experiments/22_swift.py --nets judged --count 500
    python experiments/22_swift.py --nets tuning                     those that the constants were chosen on
"""

from __future__ import annotations

import json
import time
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lib.opening import options, read, say_machine, table_head, table_row
from lib.swift_nets import FOLDER, NETS, Passes, chosen, examples, network
from torch import nn

from robustcnn.attacks import AutoAttack, Swift
from robustcnn.attacks.craft import prepare
from robustcnn.core.results import VERDICTS
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.evaluate import run_checks
from robustcnn.evaluate.audit import AuditConfig, audited

HEAD = ["network", "ball", "n", "AutoAttack leaves", "Swift leaves", "only AutoAttack broke", "only Swift broke"]
HEAD += ["CPU ms an image", "ratio", "passes an image", "ratio", "audits that cover", "handed over", "checklist"]
ATTACKS = {"autoattack": AutoAttack(), "swift": Swift()}
DONE = [*ATTACKS, "checklist"]
CHECKED = 100
"""Examples that the checklist gets."""


def judged(model: nn.Module, data: ResidentDataset, threat: ThreatModel, name: str) -> dict[str, Any]:
    """Which examples stand, and what it took to say so."""
    images, labels = next(data.batches(len(data)))
    view = prepare(model, images, labels)
    with Passes(view) as passes, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.process_time()
        found = ATTACKS[name].run(view, images, labels, threat, generator=seeded(0))
        seconds = time.process_time() - start
    with torch.no_grad():
        stands = model(found.images).argmax(1) == labels
    told = {"names": found.names, "broken_by": found.broken_by.tolist(), "escalated": found.escalated}
    return {"seconds": seconds, "passes": passes.count, "stands": stands.int().tolist(), **told}


def checked(model: nn.Module, data: ResidentDataset, threat: ThreatModel) -> str:
    """The checklist's verdict, before any evaluation, and what did not pass."""
    findings = run_checks(model, data, threat, count=len(data))
    verdict = max((each.verdict for each in findings if each.tested), key=VERDICTS.index)
    bad = [each.check for each in findings if each.speaks_up]
    return f"{verdict}: {', '.join(bad[:2])}{' ...' if bad[2:] else ''}" if bad else verdict


def kept(path: Path) -> list[dict[str, Any]]:
    """The outcomes until now."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def row(name: str, outcomes: list[dict[str, Any]]) -> list[object]:
    """One network, on the examples that both have judged; costs are an example's."""
    parts = [each for each in outcomes if each["net"] == name]
    found = {each["start"]: each for each in parts if each["attack"] == "autoattack"}
    theirs = [found[start] for start in sorted(found)]
    verdict = next((each["verdict"] for each in parts if each["attack"] == "checklist"), "not asked")
    ours = max((each for each in parts if each["attack"] == "swift"), key=lambda each: each["count"], default=None)
    if not theirs or ours is None:
        return [name, "not measured"]
    left = np.concatenate([each["stands"] for each in theirs])
    stand = np.array(ours["stands"])[: len(left)]
    left = left[: len(stand)]
    price = [sum(each[what] for each in theirs) / len(left) for what in ("seconds", "passes")]
    own = [ours[what] / len(ours["stands"]) for what in ("seconds", "passes")]
    covered = np.mean([_covers(stand, left, seed) for seed in range(200)])
    paired = [len(left), left.sum(), stand.sum(), (stand > left).sum(), (left > stand).sum()]
    seconds = [f"{1000 * price[0]:.0f} / {1000 * own[0]:.1f}", f"{price[0] / own[0]:.1f}"]
    passes = [f"{price[1]:,.0f} / {own[1]:,.0f}", f"{price[1] / own[1]:.1f}"]
    return [
        name,
        NETS[name].threat,
        *paired,
        *seconds,
        *passes,
        f"{100 * covered:.0f} %",
        "yes" if ours["escalated"] else "no",
        verdict,
    ]


def _covers(stand: np.ndarray, left: np.ndarray, seed: int) -> bool:
    """Whether an audit of a half covers what AutoAttack says of all that stand."""
    rows, config = torch.tensor(stand).nonzero().flatten(), AuditConfig(count=max(1, int(stand.sum()) // 2))
    found = audited(rows, len(stand), config, seed=seed, attack=lambda _, few: int((left[few.numpy()] == 0).sum()))
    return bool(found.low <= (stand * left).mean() <= found.high)


def _told(outcome: dict[str, Any]) -> str:
    return f"{sum(outcome['stands'])} stand, {outcome['seconds']:.1f} s, {outcome['passes']:,} passes"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--nets", nargs="+", default=["judged"])
    parser.add_argument("--attacks", nargs="+", choices=DONE, default=list(DONE))
    parser.add_argument("--count", type=int, default=500, help="test examples")
    parser.add_argument("--part", type=int, default=100, help="examples after which AutoAttack's outcome is kept")
    parser.add_argument("--kept", type=Path, default=FOLDER.parent / "outcomes.jsonl")
    args = read(parser, nets=["digits-plain"], count=40, kept=Path("quick/outcomes.jsonl"))
    args.kept.parent.mkdir(parents=True, exist_ok=True)
    parts = {"autoattack": min(args.part, args.count), "swift": args.count, "checklist": args.count}
    for attack in args.attacks:
        for start, name in product(range(0, args.count, parts[attack]), chosen(args.nets)):
            key = {"net": name, "attack": attack, "start": start, "count": parts[attack]}
            if any(key.items() <= each.items() for each in kept(args.kept)):
                continue
            model, data = network(name), examples(name, args.count)
            rows = torch.arange(start, min(start + parts[attack], len(data)))
            if attack == "checklist":
                outcome = key | {"verdict": checked(model, data.subset(rows[:CHECKED]), NETS[name].threat)}
            elif len(rows):
                outcome = key | judged(model, data.subset(rows), NETS[name].threat, attack)
            else:
                continue
            with args.kept.open("a") as file:
                file.write(json.dumps(outcome) + "\n")
            print(*key.values(), outcome.get("verdict") or _told(outcome), flush=True)
    say_machine("seed 0")
    table_head(*HEAD)
    for name in chosen(args.nets):
        table_row(*row(name, kept(args.kept)))


if __name__ == "__main__":
    main()
