"""What does AutoAttack cost on a robust network, beside torchattacks at equal budget, and which member costs what?

On test images that stand AutoPGD, so that nearly all go through every member; CPU time, one thread.

    python experiments/19_autoattack.py mlruns/checkpoints/fashion-trades-0 --data fashion-mnist --eps 0.1 --count 48
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from lib import peers
from lib.opening import options, read, say_machine, table_head, table_row
from lib.victims import RECIPES, victim
from torch import Tensor

from robustcnn import ThreatModel, load, load_checkpoint
from robustcnn.attacks import APGD, AutoAttack
from robustcnn.attacks.craft import craft
from robustcnn.core.runtime import seeded


def main() -> None:
    parser = options(__doc__)
    parser.add_argument(
        "checkpoint", type=Path, nargs="?", help="folder of the network; else the victim trained against PGD"
    )
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--eps", type=float, default=0.1, help="linf")
    parser.add_argument("--count", type=int, default=48, help="standing images")
    parser.add_argument("--alone", action="store_true", help="leave torchattacks out")
    parser.add_argument("--limit", type=int, help="training images of the victim; all when not given")
    args = read(parser, data="digits", eps=0.03, count=2, limit=500, alone=True)
    threat, (train, validation, test) = ThreatModel(norm="linf", eps=args.eps), load(args.data, limit=args.limit)
    if args.checkpoint:
        name, model = args.checkpoint.name, load_checkpoint(args.checkpoint).eval()
    else:
        name, recipe = f"{args.data}-pgd", RECIPES[args.data]
        model = victim(recipe, "pgd", Path("mlruns/victims"), train, validation).eval()
    test = test.sample(min(4 * args.count, len(test)), generator=seeded(3))
    images, labels = next(test.batches(len(test)))
    stand = (model(craft(APGD(), model, images, labels, threat)).argmax(1) == labels).nonzero().flatten()[: args.count]
    task = peers.Task(model=model, images=images[stand], labels=labels[stand], threat=threat)

    def timed(name: str, way: Callable[[], Tensor]) -> None:
        start = time.process_time()
        found = way()
        spent = time.process_time() - start
        left = int((model(found).argmax(1) == task.labels).sum())
        table_row(name, f"{spent:.1f}", f"{left} of {len(task.labels)}")

    say_machine(name, threat)
    table_head("attack", "CPU s", "still right")
    for attack in (AutoAttack(), *AutoAttack().members(model.spec.num_classes, threat)):
        timed(repr(attack), lambda attack=attack: craft(attack, model, task.images, task.labels, threat))
    if not args.alone:
        timed("torchattacks' AutoAttack", lambda: peers.torchattacks_ensemble(task, 100, 0))


if __name__ == "__main__":
    main()
