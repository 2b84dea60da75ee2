"""What does AutoAttack cost on a robust network, beside torchattacks at equal budget, and which member costs what?

On test images that stand AutoPGD, so that nearly all go through every member; CPU time, one thread.

    python experiments/19_autoattack.py mlruns/checkpoints/fashion-trades-0 --data fashion-mnist --eps 0.1 --count 48
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import peers
import torch
from bench import machine
from torch import Tensor

from robustcnn import ThreatModel, load, load_checkpoint
from robustcnn.attacks import APGD, AutoAttack
from robustcnn.attacks.craft import craft
from robustcnn.core.runtime import seeded
from robustcnn.data.registry import DataConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="folder of the network")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--eps", type=float, default=0.1, help="linf")
    parser.add_argument("--count", type=int, default=48, help="standing images")
    parser.add_argument("--alone", action="store_true", help="leave torchattacks out")
    args = parser.parse_args()
    torch.set_num_threads(1)
    threat, model = ThreatModel(norm="linf", eps=args.eps), load_checkpoint(args.checkpoint).eval()
    test = load(DataConfig(name=args.data)).test.sample(4 * args.count, generator=seeded(3))
    images, labels = next(test.batches(len(test)))
    stand = (model(craft(APGD(), model, images, labels, threat)).argmax(1) == labels).nonzero().flatten()[: args.count]
    task = peers.Task(model=model, images=images[stand], labels=labels[stand], threat=threat)

    def timed(name: str, way: Callable[[], Tensor]) -> None:
        start = time.process_time()
        found = way()
        spent = time.process_time() - start
        left = int((model(found).argmax(1) == task.labels).sum())
        print(f"| {name} | {spent:.1f} | {left} of {len(task.labels)} |", flush=True)

    print(f"{machine()}, torch {torch.__version__}, 1 thread; {args.checkpoint.name}, {threat}\n")
    print("| attack | CPU s | still right |\n|---|---|---|")
    for attack in (AutoAttack(), *AutoAttack().members(model.spec.num_classes, threat)):
        timed(repr(attack), lambda attack=attack: craft(attack, model, task.images, task.labels, threat))
    if not args.alone:
        timed("torchattacks' AutoAttack", lambda: peers.torchattacks_ensemble(task, 100, 0))


if __name__ == "__main__":
    main()
