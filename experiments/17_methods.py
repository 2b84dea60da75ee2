"""Which way of adversarial training is worth its time? All of them, on Fashion-MNIST, one network, one seed a row.

Each is given the same epochs, one pass through the data each; `minutes` says what they cost. Free training goes over
every batch four times, and is given half the epochs.

    python experiments/17_methods.py
    python experiments/17_methods.py --images 0 --epochs 20 --width 0.5 --attack autoattack     in full; hours
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lib.opening import options, read, say_machine, table_head, table_row
from lib.recipes import judged

from robustcnn import FitConfig, OptimConfig, ThreatModel
from robustcnn.attacks import APGD, Attack, AutoAttack
from robustcnn.data.registry import DataConfig
from robustcnn.models import ModelConfig
from robustcnn.runs.train_config import TrainConfig
from robustcnn.train import Adversarial, Fast, Free, Mart, Mixture, Trades

EPS = ThreatModel(norm="linf", eps=0.1)
REPLAYS = 4
BASE = FitConfig(
    batch_size=64,
    optim=OptimConfig(name="adam", lr=2e-3, schedule="cosine", warmup=0.05),
    ema=0.999,
)
WAYS: dict[str, FitConfig] = {
    "mixture": replace(BASE, objective=Mixture(threat=EPS, warmup=0.1)),
    "fast": replace(BASE, objective=Fast(threat=EPS, warmup=0.1)),
    "fast-noise": replace(BASE, objective=Fast(threat=EPS, noise=1.0, warmup=0.1)),
    "fast-gradalign": replace(BASE, objective=Fast(threat=EPS, grad_align=0.2, warmup=0.1)),
    "free": replace(BASE, objective=Free(threat=EPS, replays=REPLAYS)),
    "pgd": replace(BASE, objective=Adversarial(threat=EPS, steps=5, warmup=0.1)),
    "pgd-awp": replace(BASE, objective=Adversarial(threat=EPS, steps=5, warmup=0.1), awp=0.005),
    "trades-3": replace(BASE, objective=Trades(threat=EPS, steps=5, beta=3.0, warmup=0.1)),
    "trades-6": replace(BASE, objective=Trades(threat=EPS, steps=5, beta=6.0, warmup=0.1)),
    "trades-6-awp": replace(BASE, objective=Trades(threat=EPS, steps=5, beta=6.0, warmup=0.1), awp=0.005),
    "mart": replace(BASE, objective=Mart(threat=EPS, steps=5, warmup=0.1)),
}
ATTACKS: dict[str, list[Attack]] = {
    "autopgd": [APGD(), APGD(loss="dlr", targets=9)],
    "autoattack": [AutoAttack()],
}
"""The first two members of AutoAttack take a quarter of its time."""


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--images", type=int, default=20_000, help="to train on; 0 for all")
    parser.add_argument("--width", type=float, default=0.25, help="of smallcnn")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--attack", choices=ATTACKS, default="autopgd")
    parser.add_argument("--count", type=int, default=1000, help="test images that are attacked")
    parser.add_argument("--runs", type=Path, default=Path("mlruns/experiment-17"), help="folder of the runs")
    parser.add_argument("--data", default="fashion-mnist")
    short = {"width": 0.125, "epochs": 1, "count": 10, "runs": Path("mlruns/quick-17")}
    args = read(parser, data="digits", ways=["fast-noise", "pgd", "trades-6"], **short)
    lines = []
    for way in args.ways:
        epochs = args.epochs if way != "free" else max(1, args.epochs * 2 // REPLAYS)
        config = TrainConfig(
            name=f"{way}-{args.seed}",
            runs=args.runs,
            data=DataConfig(name=args.data, limit=args.images or None),
            model=ModelConfig(name="smallcnn", width=args.width),
            fit=replace(WAYS[way], epochs=epochs, seed=args.seed),
            track=False,
        )
        found = judged(config, "best", ATTACKS[args.attack], EPS, args.count)
        lines.append((way, found.clean, found.robust, found.epochs, f"{found.minutes:.1f}"))
    print()
    say_machine(
        f"smallcnn of width {args.width:g}", f"{args.images or 'all'} images of {args.data}", EPS, f"seed {args.seed}"
    )
    attack = " and ".join(map(repr, ATTACKS[args.attack]))
    table_head("way", "clean", f"under {attack}", "epochs", "minutes")
    for line in lines:
        table_row(*line)


if __name__ == "__main__":
    main()
