"""Angry or disgusted, when disgust is one face in ten: what do four cures for imbalance and weights bring?

FER2013 has 4,953 angry faces and 547 disgusted ones. Always saying "angry" is right nine times in ten and finds no
disgust. Disgust counts as positive: sensitivity is the share of it that is found. Then the threshold is moved, and
repeating is held against undersampling over ten seeds.

    python experiments/30_fer_two_classes.py                  about ten minutes
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from statistics import mean, stdev

import torch
from lib.classroom import ADAM
from lib.lesson import Lesson, lesson_arguments, lesson_options, percent

from robustcnn import DataConfig, FitConfig, ResidentDataset, build, fit, load, predict, seeded
from robustcnn.core.runtime import global_seed
from robustcnn.data.balance import Balance, balanced, class_weights
from robustcnn.data.registry import Splits
from robustcnn.evaluate.metrics import metrics
from robustcnn.models import PixelModel
from robustcnn.report.plots import lines

CLASSES = ("angry", "disgust")
CURES: tuple[Balance, ...] = ("none", "undersample", "repeat", "noise", "shift", "weights")
NETS = {"logistic": {}, "mlp": {"hidden": (128,)}, "smallcnn": {"width": 0.25}}
SLOW = ("logistic",)
"""What needs five times as many passes, and steps ten times as long: pixels beside each other say nearly the same."""


def faces(args: argparse.Namespace) -> Splits:
    """FER2013's, or drawn ones of which nine disgusted in ten are left out."""
    if not args.quick:
        return load(DataConfig(name="fer2013", classes=CLASSES))
    drawn = load(DataConfig(name="faces", classes=CLASSES, drawn=900, size=24))

    def rare(part: ResidentDataset) -> ResidentDataset:
        at = torch.arange(len(part))
        return part.subset(at[(part.labels == 0) | (at % 10 < 2)])

    return Splits(*map(rare, drawn))


def trained(name: str, data: Splits, cure: Balance, epochs: int, seed: int) -> PixelModel:
    """Of as many steps whatever the cure: undersampling has fewer examples, repeating more."""
    train = balanced(data.train, cure, generator=seeded(seed))
    passes = max(1, round(epochs * len(data.train) / len(train)))
    with global_seed(seed):
        model = build(name, data.train.spec, single_logit=True, **NETS[name])
    weights = class_weights(data.train) if cure == "weights" else None
    passes, lr = (5 * passes, 1e-2) if name in SLOW else (passes, 1e-3)
    config = FitConfig(epochs=passes, batch_size=64, optim=replace(ADAM, lr=lr), seed=seed, watch=0)
    list(fit(model, train, data.validation, config, class_weights=weights, progress=False))
    return model.eval()


def cells(logits: torch.Tensor, labels: torch.Tensor) -> list[str]:
    """Accuracy, sensitivity, specificity, precision, F1 and AUC of disgust."""
    found = metrics(logits, labels, CLASSES)
    rare = found.classes[1]
    shares = [found.accuracy.value, rare.recall.value, rare.specificity, rare.precision, rare.f1, rare.auc]
    return ["-" if share is None else percent(share) for share in shares]


def main() -> None:
    parser = lesson_options(__doc__, "30-fer-two-classes")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=10, help="for repeating against undersampling")
    args = lesson_arguments(parser, epochs=2, seeds=2)
    data = faces(args)
    labels, name = data.test.labels, "smallcnn"
    measures = ("accuracy", "sensitivity (recall)", "specificity", "precision", "F1", "AUC")
    counts = " : ".join(map(str, data.train.counts.tolist()))
    with Lesson(args, f"{counts} faces to train on, {len(labels)} to test") as lesson:
        lesson.head("network", "cure", *measures)
        always = torch.tensor([[1.0, 0.0]]).expand(len(labels), 2)
        lesson.row("always angry", "-", *cells(always, labels))
        logits = {}
        for net, cure in [*((net, "none") for net in NETS), *((name, cure) for cure in CURES[1:])]:
            logits[net, cure] = predict(trained(net, data, cure, args.epochs, args.seed), data.test)
            lesson.row(net, cure, *cells(logits[net, cure], labels))
            found = metrics(logits[net, cure], labels, CLASSES)
            lesson.metrics({f"{net}-{cure}/f1": found.classes[1].f1 or 0.0, f"{net}-{cure}/auc": found.auc or 0.0})
        lesson.say("\nThe threshold moved: disgust is said from this probability on (smallcnn without a cure)\n")
        lesson.head("threshold", *measures)
        for threshold in (0.5, 0.3, 0.1, 0.03):
            moved = logits[name, "none"] - torch.tensor([0.0, 1.0]) * torch.logit(torch.tensor(threshold))
            lesson.row(f"{threshold:g}", *cells(moved, labels))
        curves = {}
        for net, cure in [("logistic", "none"), *((name, cure) for cure in CURES)]:
            roc = metrics(logits[net, cure], labels, CLASSES).classes[1].roc
            curves[f"{net}, {cure}"] = roc
        lesson.picture("roc", lines(curves, across="false alarms", up="disgust found", percent=True))
        lesson.say(f"\nRepeating against undersampling, {args.seeds} seeds: mean ± standard deviation\n")
        lesson.head("cure", "accuracy", "F1 of disgust", "AUC")
        for cure in ("undersample", "repeat"):
            runs = [trained(name, data, cure, args.epochs, seed) for seed in range(args.seeds)]
            found = [metrics(predict(run, data.test), labels, CLASSES) for run in runs]
            series = [[each.accuracy.value or 0.0 for each in found]]
            series += [[each.classes[1].f1 or 0.0 for each in found], [each.auc or 0.0 for each in found]]
            lesson.row(cure, *(f"{100 * mean(each):.1f} ± {100 * stdev(each):.1f}" for each in series))
            lesson.metrics({f"spread/{cure}_f1": stdev(series[1]), f"spread/{cure}_auc": stdev(series[2])})


if __name__ == "__main__":
    main()
