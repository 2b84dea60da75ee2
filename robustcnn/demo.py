"""The whole story on embedded data: train CNNs in different ways, attack them all, compare them on one page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from robustcnn import runs
from robustcnn.comparison import CompareVerb, compare
from robustcnn.config import TrainConfig, preset
from robustcnn.data.augment import Augment
from robustcnn.evaluation import EvaluateConfig, evaluate_model
from robustcnn.runs import Say
from robustcnn.victim import find


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoVerb:
    """Options of `robustcnn demo`."""

    runs: Path = Path("mlruns/checkpoints")
    """Folder that holds the runs, one folder each."""
    epochs: int = 8
    """Of each of the trainings."""
    count: int = 200
    """Test pictures that are attacked."""
    out: Path = Path("mlruns/comparison")
    """Folder for report.html, report.md and report.csv."""


def configs(options: DemoVerb) -> dict[str, TrainConfig]:
    """Trainings that differ in one thing each."""
    base = replace(preset("digits-quick"), runs=options.runs)
    base = replace(base, fit=replace(base.fit, epochs=options.epochs))
    robust = replace(preset("digits-quick-robust"), runs=options.runs)
    return {
        "plain": base,
        "regularised": replace(base, model=replace(base.model, dropout=0.5), fit=replace(base.fit, l1=0.002, l2=0.1)),
        "augmented": replace(base, fit=replace(base.fit, augment=Augment(shift=2, rotate=10, rescale=0.1))),
        "adversarial": replace(robust, fit=replace(robust.fit, epochs=options.epochs)),
    }


def demo(options: DemoVerb, *, say: Say) -> str:
    """Train, attack, check and compare; gives the table, and where to look."""
    names = []
    for kind, config in configs(options).items():
        say(f"\n== {kind} ==")
        names.append(f"demo-{kind}-{runs.stamp()}")
        runs.train(replace(config, name=names[-1]), say=say)
        chosen = EvaluateConfig(runs=options.runs, data=config.data, suite="quick", count=options.count)
        evaluate_model(find(names[-1], options.runs), chosen, say=say)
    told = compare(names, CompareVerb(runs=options.runs, out=options.out))
    return f"\n{told}\nin MLflow: robustcnn ui {' '.join(names)} --runs {options.runs}"
