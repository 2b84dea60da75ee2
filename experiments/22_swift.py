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

import torch
from lib.opening import options, read, say_machine, table_head, table_row
from lib.swift_nets import FOLDER, NETS, Passes, chosen, examples, network
from lib.swift_rows import checked, kept, row
from torch import nn

from robustcnn.attacks import AutoAttack, Swift
from robustcnn.attacks.craft import prepare
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset

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


def _told(outcome: dict[str, Any]) -> str:
    return f"{sum(outcome['stands'])} stand, {outcome['seconds']:.1f} s, {outcome['passes']:,} passes"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--nets", nargs="+", default=["judged"])
    parser.add_argument("--attacks", nargs="+", choices=DONE, default=list(DONE))
    parser.add_argument("--count", type=int, default=500, help="test examples")
    parser.add_argument("--part", type=int, default=100, help="examples after which AutoAttack's outcome is kept")
    parser.add_argument("--kept", type=Path, default=FOLDER.parent / "outcomes.jsonl")
    args = read(parser, nets=["digits-plain"], count=4, kept=Path("quick/outcomes.jsonl"))
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
