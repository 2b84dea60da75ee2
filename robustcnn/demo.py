"""The whole story on embedded data: for now, three trainings compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from robustcnn import runs
from robustcnn.config import TrainConfig, preset
from robustcnn.data.augment import Augment
from robustcnn.runs import Say, Trained


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoVerb:
    """Options of `robustcnn demo`."""

    runs: Path = Path("mlruns/checkpoints")
    """Folder that holds the runs, one folder each."""
    epochs: int = 8
    """Of each of the three trainings."""


def configs(options: DemoVerb) -> dict[str, TrainConfig]:
    """Three trainings that differ in one thing each."""
    base = replace(preset("digits-quick"), runs=options.runs)
    base = replace(base, fit=replace(base.fit, epochs=options.epochs))
    return {
        "plain": base,
        "regularised": replace(base, model=replace(base.model, dropout=0.5), fit=replace(base.fit, l1=0.002, l2=0.1)),
        "augmented": replace(base, fit=replace(base.fit, augment=Augment(shift=2, rotate=10, rescale=0.1))),
    }


def demo(options: DemoVerb, *, say: Say) -> str:
    """Train, test and compare; gives the table."""
    trained: dict[str, Trained] = {}
    for name, config in configs(options).items():
        say(f"\n== {name} ==")
        trained[name] = runs.train(replace(config, name=f"demo-{name}-{runs.stamp()}"), say=say)
    return _table(trained)


def _table(trained: dict[str, Trained]) -> str:
    lines = [f"\n{'':<12}  train loss  valid loss  train/valid  test accuracy   kept in"]
    for name, run in trained.items():
        best = [metrics for metrics in run.history if metrics.best][-1]
        lines.append(
            f"{name:<12}  {best.train_loss:>10.4f}  {best.valid_loss:>10.4f}  {best.train_over_valid:>11.3f}  "
            f"{100 * run.best.accuracy:>11.2f} %   {run.folder}"
        )
    return "\n".join(lines)
