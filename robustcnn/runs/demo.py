"""The whole story on embedded data: train CNNs in different ways, attack them all, compare them on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from robustcnn.core.folders import RUNS
from robustcnn.core.norms import NORMS
from robustcnn.core.results import EpochMetrics
from robustcnn.core.threat import ThreatModel
from robustcnn.data.augment.policy import Augment
from robustcnn.models import ModelConfig
from robustcnn.runs.compare import CompareVerb, compare
from robustcnn.runs.evaluate import evaluate_model, verdicts
from robustcnn.runs.evaluate_config import SHARES, EvaluateConfig
from robustcnn.runs.find_model import find
from robustcnn.runs.folder import Say, stamp
from robustcnn.runs.presets import gan_preset, preset
from robustcnn.runs.pretrain import pretrain_run
from robustcnn.runs.pretrain_config import PretrainConfig
from robustcnn.runs.train import train
from robustcnn.runs.train_config import TrainConfig
from robustcnn.train.gan.metrics import GanMetrics

WAYS = {
    "plain": "nothing special",
    "regularised": "dropout, L1 and L2",
    "augmented": "shifted, turned and rescaled pictures",
    "adversarial": "trained on PGD's pictures",
    "dcgan-initialised": "a classifier on the DCGAN's discriminator",
}
"""The trainings, which differ in one thing each."""
TROUBLES = ("tracking:", "beware", "warn", "fail")
"""How lines begin that are shown in any case."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoVerb:
    """Options of `robustcnn demo`."""

    runs: Path = RUNS
    """Folder that holds the runs, one folder each."""
    data: Literal["digits", "signs"] = "digits"
    """Grey digits, or road signs in colour, which take a few minutes longer."""
    epochs: int | None = None
    """Of each of the trainings; each one's own number when not given."""
    count: int = 120
    """Test pictures that are attacked."""
    out: Path = Path("mlruns/comparison")
    """Folder for report.html, report.md and report.csv."""
    verbose: bool = False
    """Show every epoch, attack and check."""


def pretraining(options: DemoVerb, group: str) -> PretrainConfig:
    """A small DCGAN, for a few seconds."""
    base = gan_preset("digits-dcgan")
    fit = replace(base.fit, epochs=options.epochs or 6, samples=200)
    model, data = replace(base.model, width=1 / 8), preset(f"{options.data}-quick").data
    name = f"gan-{group.removeprefix('demo-')}"
    return replace(base, name=name, group=group, runs=options.runs, data=data, model=model, fit=fit)


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
    # One stamp for all: a run is then known by the rest of its name.
    moment = stamp()
    group, detail = f"demo-{moment}", say if options.verbose else _troubles_only(say)
    gan = pretraining(options, group)
    say(f"\n{'dcgan':<18}  without labels; the discriminator is what dcgan-initialised starts from")
    made = pretrain_run(gan, say=detail)
    say(_row("trained", _took(made.history)))
    names = []
    for kind, config in configs(options, gan.name).items():
        names.append(f"{kind}-{moment}")
        say(f"\n{kind:<18}  {WAYS[kind]}")
        _one(replace(config, name=names[-1], group=group), options, say=say, detail=detail)
    told = compare(names, CompareVerb(runs=options.runs, out=options.out))
    runs = f" --runs {options.runs}" if options.runs != RUNS else ""
    return f"\n{told}\nin MLflow: robustcnn ui {' '.join(names)}{runs}"


def _one(config: TrainConfig, options: DemoVerb, *, say: Say, detail: Say) -> None:
    """Train and attack, a row each."""
    trained = train(config, say=detail)
    count = sum(weights.numel() for weights in trained.model.parameters())
    say(_row("trained", f"{config.model.name}, {count:,} parameters, {_took(trained.history)}"))
    chosen = EvaluateConfig(
        runs=options.runs,
        data=config.data,
        suite="swift",
        eps=_radii(config),
        count=options.count,
        verbose=options.verbose,
    )
    report = evaluate_model(find(config.name, options.runs), chosen, say=detail).report
    say(_row("clean", f"{report.clean.accuracy}"))
    for threat in report.threats:
        say(_row(f"{ThreatModel(norm=threat.norm, eps=threat.eps)}", f"{threat.robust}"))
    say(_row("checked", verdicts(report.findings)))


def _row(what: str, says: str) -> str:
    return f"  {what:<16}  {says}"


def _took(history: Sequence[EpochMetrics | GanMetrics]) -> str:
    epochs = f"{len(history)} epoch{'s' if len(history) > 1 else ''}"
    return f"{epochs}, {sum(epoch.seconds for epoch in history):.0f} s"


def _troubles_only(say: Say) -> Say:
    """What one has to know in any case."""
    return lambda line: say(line) if line.startswith(TROUBLES) and "still uploading" not in line else None


def _radii(config: TrainConfig) -> tuple[float, ...]:
    """From a quarter to twice the usual eps: a curve."""
    usual = NORMS["linf"].usual_eps(config.data.name, channels=3)
    return tuple(share * usual for share in SHARES["quick"])
