"""Few labels: freeze what another task taught and replace the head, fine-tune all, or start from nothing?

A network learns one task, plainly or against PGD, and then another of which few examples are labelled. Accuracy,
robustness kept or lost (does a robust trunk hand its robustness on?) and time, side by side. `--folder` takes pictures
of your own, one folder a class such as cats and dogs, and ImageNet's SqueezeNet as the start.

    python experiments/36_transfer.py --tasks digits-mnist signs-gtsrb
    python experiments/36_transfer.py --tasks --folder pets --weights squeezenet1_0.pth
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

from lib.classroom import ADAM, clean, robust, some
from lib.lesson import Lesson, lesson_arguments, lesson_options, percent

from robustcnn import DataConfig, FitConfig, ImageSpec, ThreatModel, build, fit, load
from robustcnn.core.runtime import global_seed
from robustcnn.models import ModelConfig, PixelModel
from robustcnn.models.checkpoint import PAGE
from robustcnn.report.plots import bars
from robustcnn.train import Adversarial, Standard
from robustcnn.train.warm_start import read_source, start

GTSRB = "npz:gtsrb.npz"
TASKS: dict[str, tuple[DataConfig, DataConfig]] = {
    "digits-mnist": (DataConfig(name="digits", size=28), DataConfig(name="mnist")),
    "signs-gtsrb": (DataConfig(name="signs", drawn=6000), DataConfig(name=GTSRB)),
    "faces-fer2013": (DataConfig(name="faces", drawn=6000), DataConfig(name="fer2013")),
    "first-digits-others": (
        DataConfig(name="digits", classes=("0", "1", "2", "3", "4")),
        DataConfig(name="digits", classes=("5", "6", "7", "8", "9")),
    ),
}
"""What is learnt first, and what then, with few labels."""
NET = ModelConfig(name="smallcnn", width=0.25)
WAYS = {
    "from nothing": FitConfig(optim=ADAM),
    "frozen, new head": FitConfig(optim=replace(ADAM, lr=5e-3), freeze="features"),
    "first layer frozen": FitConfig(optim=ADAM, freeze="first:1"),
    "fine-tuned": FitConfig(optim=replace(ADAM, trunk_lr=0.3)),
}


def source(task: str, kind: str, args: argparse.Namespace) -> Path:
    """The folder of the network that has learnt the first task."""
    folder = args.out / "sources" / f"{task}-{kind}-{args.epochs}-{args.seed}"
    if not (folder / PAGE).is_file():
        data = load(TASKS[task][0])
        objective = (
            Adversarial(threat=ThreatModel(eps=args.eps), steps=3, warmup=0.3) if kind == "robust" else Standard()
        )
        config = FitConfig(
            epochs=args.epochs, batch_size=64, optim=ADAM, objective=objective, seed=args.seed, watch=200
        )
        with global_seed(args.seed):
            model = build(NET, data.train.spec)
        list(fit(model, data.train, data.validation, config, folder=folder, progress=False))
    return folder


def begun(way: str, origin: str, spec: ImageSpec, args: argparse.Namespace) -> PixelModel:
    with global_seed(args.seed):
        if way == "from nothing":
            return build(NET, spec)
        found = read_source(origin, weights=args.weights if origin.startswith("torchvision:") else None)
        return start(found, found.model.config, spec).model


def main() -> None:
    parser = lesson_options(__doc__, "36-transfer")
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=["digits-mnist", "signs-gtsrb"])
    parser.add_argument("--labels", type=int, default=300, help="labelled examples of the second task")
    parser.add_argument("--epochs", type=int, default=8, help="of the first task")
    parser.add_argument("--passes", type=int, default=20, help="over the labelled examples")
    parser.add_argument("--eps", type=float, default=8 / 255, help="linf")
    parser.add_argument("--count", type=int, default=500, help="test pictures that are attacked")
    parser.add_argument("--folder", type=Path, help="pictures of your own, one folder a class")
    parser.add_argument("--weights", type=Path, help="file of torchvision's squeezenet1_0, for --folder")
    args = lesson_arguments(parser, tasks=["first-digits-others"], labels=60, epochs=1, passes=3, count=30)
    jobs = [
        (task, TASKS[task][1], {kind: str(source(task, kind, args)) for kind in ("plain", "robust")})
        for task in args.tasks
    ]
    if args.folder:
        pets = DataConfig(name=f"folder:{args.folder}", size=224)
        jobs.append((args.folder.name, pets, {"SqueezeNet": "torchvision:squeezenet1_0"}))
    drawn = {}
    with Lesson(args, f"{args.labels} labels, {args.passes} passes, PGD-20 at linf {255 * args.eps:.0f}/255") as lesson:
        lesson.head("tasks", "start", "way", "accuracy", "under attack", "CPU s")
        for task, second, origins in jobs:
            data = load(replace(second, limit=args.labels))
            few, held = some(data.test, args.count), some(data.validation, 500)
            pairs = [("-", "from nothing", ""), *((kind, way, path) for kind, path in origins.items() for way in WAYS)]
            for kind, way, path in pairs:
                if kind != "-" and way == "from nothing":
                    continue
                model, begin = begun(way, path, data.train.spec, args), time.process_time()
                config = replace(WAYS[way], epochs=args.passes, batch_size=32, seed=args.seed, watch=0)
                if path.startswith("torchvision:"):
                    # What a million photographs have taught is not to be shaken off.
                    config = replace(config, optim=replace(config.optim, lr=config.optim.lr / 10))
                list(fit(model, data.train, held, config, progress=False))
                spent, right = time.process_time() - begin, clean(model.eval(), data.test)
                (stands,) = robust(model, few, [args.eps])
                lesson.row(task, kind, way, percent(right), percent(stands), f"{spent:.0f}")
                lesson.metrics({f"{task}/{kind} {way}/accuracy": right, f"{task}/{kind} {way}/robust": stands})
                drawn[f"{task}: {kind}, {way}"] = {"clean": right, "under attack": stands}
        lesson.picture("transfer", bars(drawn, along="accuracy"))


if __name__ == "__main__":
    main()
