"""Which of seven expressions does a face show, how firmly, and which ones does an attacker change most easily?

FER2013 (Kaggle 2013): the winner had about 71 % on PrivateTest, a lecture's CNN about 70 %, a person about 65 %.
Logistic regression, an MLP and CNNs, each under PGD at 2/255 and 4/255, and one that was trained against it. `--runs`
keeps the trained networks; a training that was interrupted goes on. On a GPU: --nets fer2013-resnet18.

    python experiments/31_fer_seven_classes.py                 about 45 minutes of one core
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lib.classroom import accuracy, attacked, clean, robust, some
from lib.lesson import Lesson, lesson_arguments, lesson_options, percent
from lib.recipes import trained
from torch import nn

from robustcnn import DataConfig, ResidentDataset, ThreatModel, load, predict
from robustcnn.evaluate.metrics import metrics
from robustcnn.models import ModelConfig
from robustcnn.models.many_views import ManyViews
from robustcnn.report.plots import bars, confusion
from robustcnn.runs.presets import preset
from robustcnn.runs.train_config import TrainConfig
from robustcnn.train import Adversarial

BASE = preset("fer2013-facecnn")
DENSE = replace(BASE.fit, ema=None, optim=replace(BASE.fit.optim, name="adam", lr=1e-3), epochs=8)
SMALL = ModelConfig(name="facecnn", width=0.25, dropout=0.1)
AGAINST = Adversarial(threat=ThreatModel(eps=2 / 255), steps=2, warmup=0.5)
GENTLY = replace(BASE.fit.optim, lr=0.02, warmup=0.1)
WIDER = replace(SMALL, width=0.375)
NETS = {
    "logistic": replace(BASE, model=ModelConfig(name="logistic"), fit=DENSE, precision="fp32"),
    "mlp": replace(BASE, model=ModelConfig(name="mlp", hidden=(256,), dropout=0.3), fit=DENSE, precision="fp32"),
    "small-cnn": replace(BASE, model=SMALL, fit=replace(BASE.fit, epochs=8)),
    "fer2013-facecnn": BASE,
    "adversarial": replace(
        BASE, model=WIDER, fit=replace(BASE.fit, epochs=14, optim=GENTLY, objective=AGAINST, watch=200, monitor="auto")
    ),
    "fer2013-resnet18": preset("fer2013-resnet18"),
}
PUBLISHED = {"fer2013-facecnn": "lecture about 70 %", "fer2013-resnet18": "Kaggle's winner about 71 %"}
RADII = (2 / 255, 4 / 255)


def short(config: TrainConfig, data: DataConfig) -> TrainConfig:
    """The same on other data, in seconds."""
    fit = replace(config.fit, epochs=2, watch=min(config.fit.watch, 40))
    return replace(
        config, data=data, model=replace(config.model, width=0.25 if "cnn" in config.model.name else 1), fit=fit
    )


def fragile(lesson: Lesson, name: str, model: nn.Module, data: ResidentDataset) -> None:
    """The confusion, clean against attacked, and what each expression is turned into."""
    _, adversarial, labels = attacked(model, data, RADII[0])
    before = metrics(predict(model, data), labels, data.classes)
    after = metrics(predict(model, replace(data, images=adversarial)), labels, data.classes)
    lesson.say(f"\nWhat {name} answers under PGD at 2/255, expression by expression\n")
    lesson.head("expression", "right", "still right under attack", "most often turned into")
    shares = {}
    for index, (mine, theirs) in enumerate(zip(before.classes, after.classes, strict=True)):
        row = [count if other != index else -1 for other, count in enumerate(after.confusion[index])]
        turned = data.classes[max(range(len(row)), key=row.__getitem__)]
        lesson.row(mine.name, mine.recall, theirs.recall, turned)
        shares[mine.name] = {"clean": mine.recall.value or 0.0, "under attack": theirs.recall.value or 0.0}
    lesson.picture("confusion", confusion(before, after))
    lesson.picture("fragile", bars(shares, along="right answers"))


def main() -> None:
    parser = lesson_options(__doc__, "31-fer-seven-classes")
    usual = ["logistic", "mlp", "small-cnn", "fer2013-facecnn", "adversarial"]
    parser.add_argument("--nets", nargs="+", choices=NETS, default=usual)
    parser.add_argument("--count", type=int, default=500, help="test faces that are attacked")
    parser.add_argument("--runs", type=Path, default=Path("mlruns/experiment-31"), help="folder of the networks")
    quick = {"nets": ["logistic", "fer2013-facecnn", "adversarial"], "count": 30, "runs": Path("mlruns/quick-31")}
    args = lesson_arguments(parser, **quick)
    data = DataConfig(name="faces", drawn=600) if args.quick else BASE.data
    test = load(data).test
    few = some(test, args.count)
    with Lesson(args, f"{test.name}, {len(test):,} test pictures, {len(few)} attacked by PGD-20") as lesson:
        lesson.head(
            "network",
            "test",
            "mirrored too",
            "ten views",
            "published",
            *(f"eps {255 * e:.0f}/255" for e in RADII),
            "minutes",
        )
        models: dict[str, nn.Module] = {}
        for name in args.nets:
            config = short(NETS[name], data) if args.quick else NETS[name]
            fit = replace(config.fit, seed=args.seed)
            done = trained(replace(config, name=f"{name}-{args.seed}", runs=args.runs, fit=fit, track=False))
            model = done.model.eval()
            views = [clean(ManyViews(model, shift=shift).eval(), test) for shift in (0, 3)]
            stands = robust(model, few, RADII)
            minutes = sum(epoch.seconds for epoch in done.history) / 60
            shares = [percent(each) for each in (clean(model, test), *views)]
            lesson.row(name, *shares, PUBLISHED.get(name, "-"), *map(percent, stands), f"{minutes:.1f}")
            lesson.metrics({f"{name}/accuracy": clean(model, test), f"{name}/ten_views": views[1]})
            lesson.metrics({f"{name}/robust_{255 * eps:.0f}": share for eps, share in zip(RADII, stands, strict=True)})
            models[name] = model
        best = max(models, key=lambda name: accuracy(models[name], *next(few.batches(len(few)))))
        fragile(lesson, best, models[best], few)


if __name__ == "__main__":
    main()
