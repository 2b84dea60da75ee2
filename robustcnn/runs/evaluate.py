"""A whole evaluation of one model: attacks, checks, corruptions, transfer, one report on disk and in the tracker."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from robustcnn.attacks import PGD
from robustcnn.core.plain_data import to_plain
from robustcnn.core.results import RobustnessReport, TransferScore
from robustcnn.core.runtime import DeviceName, Precision, pick_device, seeded
from robustcnn.core.threat import NormName, ThreatModel
from robustcnn.data.registry import DataConfig, load
from robustcnn.data.resident import ResidentDataset
from robustcnn.evaluate import Plan, attack_named, corruption_scores, judge, run_checks, suite, transfer_matrix
from robustcnn.evaluate.suites import SuiteName
from robustcnn.models.checkpoint import Which
from robustcnn.report.entry import Entry, telling_ball
from robustcnn.report.gallery import gallery_of
from robustcnn.report.tables import comparison
from robustcnn.runs.compare import FOLDER, PAGES, REPORT, entry_of, keep, write_figures, write_pages
from robustcnn.runs.find_model import Victim, find
from robustcnn.runs.train import Say, provenance
from robustcnn.tracking import SpooledTracker

BLOCK = 512
"""Examples after which a result is kept."""
TOLD = ("suite", "attacks", "norm", "eps", "count", "which", "precision", "seed")
"""Options that the tracker hears of."""
USUAL_EPS = {"mnist": 0.3, "fashion-mnist": 0.1, "digits": 0.1}
"""linf radii that papers use, where it is not 8/255."""
USUAL_LENGTH: dict[NormName, tuple[float, float]] = {"l2": (1.5, 0.5), "l1": (10.0, 12.0)}
"""Other norms: for grey pictures, for coloured ones."""
SHARES: dict[SuiteName, tuple[float, ...]] = {
    "quick": (0.25, 0.5, 1.0, 2.0),
    "standard": (0.5, 1.0),
    "full": (0.25, 0.5, 1.0),
}
"""Of the usual eps: the radii of a suite's curve."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """How robust a model is, and whether the figure can be trusted."""

    runs: Path = Path("mlruns/checkpoints")
    """Folder that holds the runs, one folder each."""
    which: Which = "best"
    """The weights of the best epoch, or of the last."""
    data: DataConfig = field(default_factory=DataConfig)
    """The run's own data unless told otherwise; its test part is attacked."""
    count: int | None = 1000
    """Test examples, a stratified random part; None takes all."""
    suite: SuiteName = "standard"
    """quick: FGSM and PGD-20; standard: AutoAttack; full: both, foolbox attacks, noise, corruptions."""
    attacks: tuple[str, ...] = ()
    """Attacks instead of the suite's: fgsm, "pgd(steps=100, restarts=5)", foolbox:LinfPGD ..."""
    norm: NormName = "linf"
    """How changes are measured."""
    eps: tuple[float, ...] = ()
    """Radii such as 4/255 8/255; usual ones for the data when not given."""
    checks: bool = True
    """Run the checklist that says whether the figures can be trusted."""
    corruptions: bool = False
    """Accuracy under noise, blur, weather and compression too; the full suite has it anyway."""
    transfer: tuple[str, ...] = ()
    """Other models (named as MODEL is) whose adversarial examples are tried on this one, and the reverse."""
    precision: Precision = "fp32"
    """Of the search; the judge always scores in fp32."""
    device: DeviceName = "auto"
    """`auto` takes a GPU when there is one."""
    threads: int | None = None
    """CPU threads; tiny models are fastest with 1."""
    seed: int = 0
    """Of the examples' choice and of the attacks."""
    track: bool = True
    """Add the result to the model's run in MLflow."""

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}")
        for eps in self.eps:
            ThreatModel(norm=self.norm, eps=eps)
        for text in self.attacks:
            attack_named(text)

    @property
    def title(self) -> str:
        """A word for the attacks."""
        return "attacks" if self.attacks else self.suite


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """What an evaluation leaves behind."""

    report: RobustnessReport
    folder: Path

    @property
    def table(self) -> str:
        """The figures and the findings that are no pass, as text."""
        entry = Entry(name=self.report.model, report=self.report)
        bad = [f"{each.verdict}: {each.says}" for each in self.report.findings if each.verdict != "pass"]
        verdict = f"verdict on the measurement: {self.report.verdict or 'not checked'}"
        return "\n".join([comparison([entry]).text(), "", verdict, *bad])


def evaluate_model(victim: Victim, config: EvaluateConfig, *, say: Say = lambda _: None) -> Evaluated:
    """Evaluate, keep the outcome and tell the tracker; an evaluation that was interrupted goes on where it stopped."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    device = pick_device(config.device)
    data, model = _examples(config).to(device), victim.model.to(device)
    plan = plan_of(config, data)
    folder = victim.folder / FOLDER / _slug(plan, config, data)
    say(f"{victim.name}: {len(data):,} examples of {data.name}, {', '.join(map(str, plan.threats))}; kept in {folder}")
    judged = judge(model, data, plan, name=victim.name, folder=folder / "parts", progress=True, say=say)
    ball = _telling(judged.report)
    report = _completed(judged.report, victim, data, ball, config, say)
    evidence = next(each for each in judged.evidence if each.threat == ball)
    gallery = gallery_of(model, data, evidence.adversarial.to(device), threat=str(ball))
    keep(folder, report, gallery)
    write_pages(folder, [entry_of(victim.folder, folder)])
    done = Evaluated(report=report, folder=folder)
    if config.track:
        _track(victim, config, done, say)
    return done


def _completed(
    report: RobustnessReport, victim: Victim, data: ResidentDataset, ball: ThreatModel, config: EvaluateConfig, say: Say
) -> RobustnessReport:
    """With all that was asked for besides attacks."""
    model, seed = victim.model, config.seed
    corrupts = config.corruptions or config.suite == "full"
    return replace(
        report,
        findings=run_checks(model, data, ball, seed=seed, precision=config.precision, say=say) if config.checks else (),
        corruptions=corruption_scores(model, data, seed=seed) if corrupts else (),
        transfer=_transfer(victim, data, ball, config) if config.transfer else (),
        made_by=provenance() | report.made_by,
    )


def _examples(config: EvaluateConfig) -> ResidentDataset:
    test = load(config.data).test
    if config.count is None or config.count >= len(test):
        return test
    return test.sample(config.count, generator=seeded(config.seed))


def plan_of(config: EvaluateConfig, data: ResidentDataset) -> Plan:
    """Which attacks in which balls."""
    attacks = tuple(map(attack_named, config.attacks)) or suite(config.suite, config.norm)
    radii = config.eps or _usual_radii(config, data)
    threats = tuple(ThreatModel(norm=config.norm, eps=eps) for eps in radii)
    return Plan(attacks=attacks, threats=threats, precision=config.precision, block=BLOCK, seed=config.seed)


def _usual_radii(config: EvaluateConfig, data: ResidentDataset) -> tuple[float, ...]:
    if config.norm == "linf":
        usual = USUAL_EPS.get(config.data.name, 8 / 255)
    else:
        usual = USUAL_LENGTH[config.norm][data.spec.channels > 1]
    return tuple(usual * share for share in SHARES["quick" if config.attacks else config.suite])


def _slug(plan: Plan, config: EvaluateConfig, data: ResidentDataset) -> str:
    """A name for the evaluation, the same whenever the same is asked for."""
    asked = repr((plan.attacks, plan.threats, plan.precision, plan.seed, config.which, data.fingerprint))
    return f"{config.title}-{config.norm}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"


def _telling(report: RobustnessReport) -> ThreatModel:
    """The ball that checks, transfer and pictures are about: where about half of what was right stands."""
    ball = telling_ball([Entry(name=report.model, report=report)])
    if ball is None:
        return ThreatModel(norm=report.threats[-1].norm, eps=report.threats[-1].eps)
    return ThreatModel(norm=ball[0], eps=ball[1])


def _transfer(
    victim: Victim, data: ResidentDataset, threat: ThreatModel, config: EvaluateConfig
) -> tuple[TransferScore, ...]:
    others = [find(name, config.runs) for name in config.transfer]
    models = {each.name: each.model.to(data.device) for each in (victim, *others)}
    return transfer_matrix(models, data, PGD(steps=20), threat, seed=config.seed)


def _track(victim: Victim, config: EvaluateConfig, done: Evaluated, say: Say) -> None:
    with SpooledTracker(victim.folder, say=say) as tracker:
        tracker.config({"evaluate": {name: value for name, value in to_plain(config).items() if name in TOLD}})
        tracker.report(done.report)
        figures = write_figures(done.folder / "figures", entry_of(victim.folder, done.folder))
        for path in [*(done.folder / name for name in (REPORT, *PAGES)), *figures]:
            place = path.relative_to(victim.folder)
            tracker.artifact(place, under=place.parent.as_posix())
