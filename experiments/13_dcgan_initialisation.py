"""Does a classifier that starts from a DCGAN's discriminator learn better, or stand attacks better?

One architecture for all: the discriminator's trunk and a linear layer. The DCGAN saw all training images and no label.
`untrained` starts from a discriminator as it was before its first step, whose weights are smaller than `random` ones:
what pre-training brings lies beyond that. `frozen` trains the last layer alone, behind batch norm as it was at the
start: a trunk that was never trained has seen no statistics. `slow` gives the trunk a tenth of the learning rate. A
fifth of the labelled examples picks the best epoch. Robust is what stands PGD-20 with two restarts.

    python experiments/13_dcgan_initialisation.py --keep 13.jsonl --objectives standard adversarial
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

from lib.dcgan_arms import ARMS, MEASURED, Cell, kept, measured, told
from lib.opening import options, read, say_machine, table_head, table_row


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", nargs="+", default=["fashion-mnist", "digits"])
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 1000, 0], help="how many; 0 for all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--objectives", nargs="+", default=["standard"], choices=["standard", "adversarial"])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--width", type=float, default=0.25, help="of both networks of the DCGAN")
    parser.add_argument("--steps", type=int, default=2000, help="of each training, about")
    parser.add_argument("--gan-steps", type=int, default=4000, help="of each pre-training, about")
    parser.add_argument("--eps", type=float, default=0.1, help="linf; half of it is tried too")
    parser.add_argument("--count", type=int, default=1000, help="test images")
    parser.add_argument(
        "--keep", type=Path, default=Path("13_dcgan.jsonl"), help="measured cells, which are not repeated"
    )
    parser.add_argument("--gans", type=Path, default=Path("13_dcgans"), help="folder of the pre-trainings")
    quick = {"data": ["digits"], "labels": [100], "seeds": [0], "width": 0.1, "steps": 20, "gan_steps": 20, "count": 20}
    args = read(parser, arms=["random", "dcgan"], keep=Path("13_quick.jsonl"), **quick)
    settings = {name: getattr(args, name) for name in ("width", "steps", "gan_steps", "eps", "count")}
    done = kept(args.keep, settings)
    say_machine(settings, f"seeds {args.seeds}", "percent, mean ± half of the 95 % interval over n seeds")
    table_head("data", "labels", "objective", "start", "n", *MEASURED)
    for data, labels, objective, arm in product(args.data, args.labels, args.objectives, args.arms):
        found = []
        for seed in args.seeds:
            cell = Cell(data, labels, objective, arm, seed)
            if cell not in done:
                done[cell] = measured(cell, args)
                row = {"cell": vars(cell), "settings": settings, "measured": done[cell]}
                with args.keep.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            found.append(done[cell])
        columns = [told([each[name] for each in found]) for name in MEASURED]
        table_row(data, labels or "all", objective, arm, len(found), *columns)


if __name__ == "__main__":
    main()
