"""How much of AutoAttack's answer does Swift give, and for how much of its price? Paired, on networks of many kinds.

Every outcome is kept in a file as it is found: a second call goes on from there, and prints the table.

    python experiments/22_swift.py --nets judged --count 500
    python experiments/22_swift.py --nets fashion-trades --attacks swift --count 10000
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import torch
from swift_nets import FOLDER, NETS, Passes, chosen, examples, network
from torch import nn

from robustcnn.attacks import AutoAttack, Swift
from robustcnn.attacks.craft import craft, prepare
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset

ATTACKS = {"autoattack": AutoAttack(), "swift": Swift()}


def judged(model: nn.Module, data: ResidentDataset, threat: ThreatModel, name: str) -> dict[str, Any]:
    """Which examples stand, and what it took to say so."""
    images, labels = next(data.batches(len(data)))
    view = prepare(model, images, labels)
    with Passes(view) as passes, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.process_time()
        found = craft(ATTACKS[name], view, images, labels, threat, generator=seeded(0))
        seconds = time.process_time() - start
    with torch.no_grad():
        stands = model(found).argmax(1) == labels
    return {"seconds": seconds, "passes": passes.count, "stands": stands.int().tolist()}


def kept(path: Path) -> list[dict[str, Any]]:
    """The outcomes until now."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=["judged"])
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--count", type=int, default=500, help="test examples")
    parser.add_argument("--part", type=int, default=100, help="examples after which AutoAttack's outcome is kept")
    parser.add_argument("--kept", type=Path, default=FOLDER.parent / "outcomes.jsonl")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.kept.parent.mkdir(parents=True, exist_ok=True)
    parts = {"autoattack": min(args.part, args.count), "swift": args.count}
    for attack in args.attacks:
        for start, name in product(range(0, args.count, parts[attack]), chosen(args.nets)):
            key = {"net": name, "attack": attack, "start": start, "count": parts[attack]}
            if any(key.items() <= each.items() for each in kept(args.kept)):
                continue
            model, data = network(name), examples(name, args.count)
            rows = torch.arange(start, min(start + parts[attack], len(data)))
            if len(rows):
                outcome = key | judged(model, data.subset(rows), NETS[name].threat, attack)
                with args.kept.open("a") as file:
                    file.write(json.dumps(outcome) + "\n")
                print(*key.values(), sum(outcome["stands"]), f"{outcome['seconds']:.1f}", outcome["passes"], flush=True)


if __name__ == "__main__":
    main()
