"""How much of a network's robustness can be proven, and what does training for the proof cost?

python experiments/21_two_sides.py
python experiments/21_two_sides.py --data fashion-mnist --eps 0.1
python experiments/21_two_sides.py --run mlruns/checkpoints/NAME      # one that is there already
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from lib.opening import options, read, say_machine, table_head, table_row
from lib.recipes import trained

from robustcnn import load, load_checkpoint
from robustcnn.attacks import AutoAttack
from robustcnn.certify import certified
from robustcnn.core.results import RobustnessReport, Share
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data.registry import DataConfig
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate import evaluate
from robustcnn.models import ModelConfig
from robustcnn.report.plots import png, robustness_curves
from robustcnn.runs.presets import preset
from robustcnn.runs.train_config import TRAINING, TrainConfig
from robustcnn.train import Adversarial, CrownIbp, Ibp, Standard, Trades
from robustcnn.train.settings import AnyObjective


def ways(threat: ThreatModel) -> dict[str, AnyObjective]:
    """What one network can be trained for."""
    return {
        "plain": Standard(),
        "PGD": Adversarial(threat=threat, steps=5, warmup=0.3),
        "TRADES": Trades(threat=threat, steps=5, warmup=0.3),
        "IBP": Ibp(threat=threat, warmup=0.5),
        "CROWN-IBP": CrownIbp(threat=threat, warmup=0.5),
    }


def config_of(way: str, objective: AnyObjective, args: argparse.Namespace) -> TrainConfig:
    """All the same but for the objective and, for bounds, the first weights."""
    base = preset("mnist-ibp")
    bounds = way in ("IBP", "CROWN-IBP")
    model = ModelConfig(name="stridedcnn", width=args.width, narrow_init=bounds)
    optim = base.fit.optim if bounds else replace(base.fit.optim, lr=2e-3)
    fit = replace(base.fit, objective=objective, epochs=args.epochs, seed=args.seed, optim=optim, batch_size=args.batch)
    name = f"{args.data}-{way.lower()}-{args.seed}"
    data = DataConfig(name=args.data)
    return replace(base, name=name, data=data, model=model, fit=fit, runs=args.runs, track=False, threads=1)


def judged(name: str, folder: Path, threat: ThreatModel, args: argparse.Namespace) -> tuple[str, RobustnessReport]:
    """Both sides of the run in the folder, as cells of a line."""
    model = load_checkpoint(folder).eval()
    test = load(TRAINING.read_config(folder).data).test
    data = test if args.count >= len(test) else test.sample(args.count, generator=seeded(0))
    threats = [replace(threat, eps=share * threat.eps) for share in args.shares]
    kept = folder / f"two-sides-{args.method}-{args.count}-{threat.eps:g}"
    report = evaluate(
        model, data, [AutoAttack()], threats, certify=args.method, block=100, folder=kept, name=name, say=print
    )
    proven = certified(model, as_pixels(test.images), test.labels, threat, method="interval")
    return str(Share.of(int(proven.sum()), len(test))), report


def minutes(folder: Path) -> str:
    from robustcnn.models import checkpoint

    return f"{sum(epoch.seconds for epoch in checkpoint.read_page(folder).history) / 60:.1f}"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--eps", type=float, default=0.3)
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0], help="radii, as shares of eps")
    parser.add_argument("--ways", nargs="+", default=["plain", "PGD", "TRADES", "IBP", "CROWN-IBP"])
    parser.add_argument("--run", type=Path, nargs="+", default=[], help="folders of runs to judge instead")
    parser.add_argument("--method", default="crown", help="of the bounds: interval, crown or alpha-crown")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000, help="test images that are judged from both sides")
    parser.add_argument("--runs", type=Path, default=Path("mlruns/experiment-21"), help="folder of the runs")
    parser.add_argument("--picture", type=Path, help="file for the curves")
    quick = {"data": "digits", "eps": 0.05, "epochs": 2, "batch": 64, "width": 0.125, "count": 5}
    args = read(parser, ways=["plain", "IBP"], method="interval", runs=Path("mlruns/quick-21"), **quick)
    threat = ThreatModel(norm="linf", eps=args.eps)
    folders = {path.name: path for path in args.run}
    if not folders:
        found = {way: trained(config_of(way, ways(threat)[way], args)) for way in args.ways}
        folders = {way: done.folder for way, done in found.items()}
    lines = {name: judged(name, folder, threat, args) for name, folder in folders.items()}
    print()
    say_machine(f"{args.data}, {threat}, seed {args.seed}, both sides on {args.count:,} test images by {args.method}")
    table_head("trained for", "clean", "under AutoAttack", "proven", "undecided", "intervals, all images", "minutes")
    for name, (proven, report) in lines.items():
        score, proof = report.threats[-1], report.proofs[-1]
        clean = report.clean.accuracy
        table_row(name, clean, score.robust, proof.proven, proof.undecided, proven, minutes(folders[name]))
    if args.picture:
        args.picture.write_bytes(png(robustness_curves({name: report for name, (_, report) in lines.items()}, "linf")))


if __name__ == "__main__":
    main()
