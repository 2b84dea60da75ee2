"""The whole story on embedded data: train CNNs in different ways, attack them all, compare them on one page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from robustcnn.core.folders import RUNS
from robustcnn.data.augment.policy import Augment
from robustcnn.models import ModelConfig
from robustcnn.runs.compare import CompareVerb, compare
from robustcnn.runs.evaluate import evaluate_model
from robustcnn.runs.evaluate_config import EvaluateConfig
from robustcnn.runs.find_model import find
from robustcnn.runs.folder import Say, stamp
from robustcnn.runs.presets import gan_preset, preset
from robustcnn.runs.pretrain import pretrain_run
from robustcnn.runs.pretrain_config import PretrainConfig
from robustcnn.runs.train import train
from robustcnn.runs.train_config import TrainConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoVerb:
    """Options of `robustcnn demo`."""

    runs: Path = RUNS
    """Folder that holds the runs, one folder each."""
    data: Literal["digits", "signs"] = "digits"
    """Grey digits, or road signs in colour, which take a few minutes longer."""
    epochs: int | None = None
    """Of each of the trainings; each one's own number when not given."""
    count: int = 200
    """Test pictures that are attacked."""
    out: Path = Path("mlruns/comparison")
    """Folder for report.html, report.md and report.csv."""


def pretraining(options: DemoVerb) -> PretrainConfig:
    """A small DCGAN, for a few seconds."""
    base = gan_preset("digits-dcgan")
    fit = replace(base.fit, epochs=options.epochs or 6, samples=200)
    model, data = replace(base.model, width=1 / 8), preset(f"{options.data}-quick").data
    return replace(base, name=f"demo-gan-{stamp()}", runs=options.runs, data=data, model=model, fit=fit)


def configs(options: DemoVerb, gan: str) -> dict[str, TrainConfig]:
    """Trainings that differ in one thing each; the last one has another network too, that of the DCGAN named `gan`."""
    base, robust = (preset(f"{options.data}-quick{kind}") for kind in ("", "-robust"))
    moved = Augment(shift=2, rotate=10, rescale=0.1)
    ways = {
        "plain": base,
        "regularised": replace(base, model=replace(base.model, dropout=0.5), fit=replace(base.fit, l1=0.002, l2=0.1)),
        "augmented": replace(base, fit=replace(base.fit, augment=moved)),
        "adversarial": robust,
        "dcgan-initialised": replace(base, model=ModelConfig(name="dcgan", width=1 / 8), init_from=gan),
    }
    return {kind: _adapted(config, options) for kind, config in ways.items()}


def _adapted(config: TrainConfig, options: DemoVerb) -> TrainConfig:
    fit = config.fit if options.epochs is None else replace(config.fit, epochs=options.epochs)
    return replace(config, runs=options.runs, fit=fit)


def demo(options: DemoVerb, *, say: Say) -> str:
    """Train, attack, check and compare; gives the table, and where to look."""
    names: list[str] = []
    gan = pretraining(options)
    say("\n== a DCGAN, whose discriminator one of them starts from ==")
    pretrain_run(gan, say=say)
    for kind, config in configs(options, gan.name).items():
        say(f"\n== {kind} ==")
        names.append(f"demo-{kind}-{stamp()}")
        train(replace(config, name=names[-1]), say=say)
        chosen = EvaluateConfig(runs=options.runs, data=config.data, suite="quick", count=options.count)
        evaluate_model(find(names[-1], options.runs), chosen, say=say)
    told = compare(names, CompareVerb(runs=options.runs, out=options.out))
    return f"\n{told}\nin MLflow: robustcnn ui {' '.join(names)} --runs {options.runs}"
