"""What an evaluation is asked, and what that comes to for the data at hand."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import nn

import robustcnn
from robustcnn.attacks.base import Attack
from robustcnn.attacks.black_box import black_box_in
from robustcnn.attacks.universal import Universal
from robustcnn.core.folders import RUNS
from robustcnn.core.norms import NORMS, NormName
from robustcnn.core.results import RobustnessReport
from robustcnn.core.runtime import DeviceName, Precision, check_threads, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data.registry import DataConfig, load
from robustcnn.data.resident import ResidentDataset, as_pixels
from robustcnn.evaluate import Plan, attack_named, fingerprint, suite
from robustcnn.evaluate.audit import AuditConfig, refuse_audit
from robustcnn.evaluate.pieces import Compile
from robustcnn.evaluate.suites import SuiteName, asking_suite
from robustcnn.models.checkpoint import Which
from robustcnn.runs.find_model.victim import SourceConfig
from robustcnn.runs.pool import PoolConfig

FITTED_ON = 1000
"""Training pictures that a universal perturbation is learnt on."""
BLOCK = 128
"""Examples after which a result is kept."""
GPU_BLOCK = 2048
"""The same on a GPU, which small blocks would leave idle."""
ASKED_BLOCK = 32
"""The same for black boxes, whose answers may be dear."""
SHARES: dict[SuiteName, tuple[float, ...]] = {
    "quick": (0.25, 0.5, 1.0, 2.0),
    "swift": (0.5, 1.0),
    "standard": (0.5, 1.0),
    "full": (0.25, 0.5, 1.0),
}
"""Of the usual eps: the radii of a suite's curve."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """How robust a model is, and whether the figure can be trusted."""

    runs: Path = RUNS
    """Folder that holds the runs, one folder each."""
    which: Which = "best"
    """The weights of the best epoch, or of the last."""
    data: DataConfig = field(default_factory=DataConfig)
    """The run's own data unless told otherwise; its test part is attacked."""
    count: int | None = 1000
    """Test examples, a stratified random part; None takes all."""
    suite: SuiteName = "swift"
    """quick: FGSM, PGD-20; swift: nearly AutoAttack, for a tenth; standard: AutoAttack; full: all, corruptions too."""
    attacks: tuple[str, ...] = ()
    """Attacks instead of the suite's: fgsm, "pgd(steps=100, restarts=5)", foolbox:LinfPGD ..."""
    audit: int | None = None
    """AutoAttack on so many of the examples that a cheaper suite leaves, at random: what it would say of all."""
    until: float | None = None
    """Audit until that is known to so many points; `audit` is then the most that are audited."""
    norm: NormName = "linf"
    """How changes are measured."""
    eps: tuple[float, ...] = ()
    """Radii such as 4/255 8/255; usual ones for the data when not given."""
    certify: Literal["no", "interval", "crown", "alpha-crown", "smoothing"] = "no"
    """Prove what can be proven first, by these bounds, and show both sides; the cheapest is interval. smoothing
    certifies a Smoothed model in l2, by 10,000 draws of noise an example."""
    checks: bool = True
    """Whether the checklist, which says if the figures can be trusted, is made; --no-checks leaves it out."""
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
    batch_size: int | Literal["auto"] = "auto"
    """Images looked at together in a search; auto finds a size that suits the machine."""
    compile: Compile = "auto"
    """Compile the model that is searched with, and attacks' steps; auto: on a GPU where the work is long enough."""
    source: SourceConfig = field(default_factory=SourceConfig)
    """Of models that come from elsewhere."""
    pool: PoolConfig = field(default_factory=PoolConfig)
    """Other processes or machines that share the work."""
    seed: int = 0
    """Of the examples' choice and of the attacks."""
    track: bool = True
    """Whether the result is added to the model's run in MLflow; --no-track leaves it out."""
    verbose: bool = False
    """Show every check, those that pass too."""

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}")
        check_threads(self.threads)
        if self.batch_size != "auto" and self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1 or auto, got {self.batch_size}")
        if self.pool and self.source.queries is not None:
            raise ValueError("queries are counted by one process: leave out --queries, or --workers and --scheduler")
        for eps in self.eps:
            ThreatModel(norm=self.norm, eps=eps)
        named = [attack_named(text) for text in self.attacks]
        refuse_audit(named or suite(self.suite, self.norm), self.auditing)

    @property
    def auditing(self) -> AuditConfig:
        return AuditConfig(count=self.audit, until=self.until)

    @property
    def title(self) -> str:
        """A word for the attacks."""
        return "attacks" if self.attacks else self.suite


def examples_of(config: EvaluateConfig) -> ResidentDataset:
    """The test examples that are attacked."""
    test = load(config.data).test
    if config.count is None or config.count >= len(test):
        return test
    return test.sample(config.count, generator=seeded(config.seed))


def plan_of(config: EvaluateConfig, data: ResidentDataset, model: nn.Module) -> Plan:
    """Which attacks in which balls; a black box can only be asked."""
    radii = config.eps or _usual_radii(config, data)
    threats = tuple(ThreatModel(norm=config.norm, eps=eps) for eps in radii)
    box = black_box_in(model)
    attacks = tuple(map(attack_named, config.attacks))
    if not attacks and box is not None:
        attacks = asking_suite(config.suite, config.norm, labels_only=box.answers == "labels")
    attacks = attacks or suite(config.suite, config.norm)
    attacks = tuple(
        _fitted(each, config, model, threats, data.device) if isinstance(each, Universal) else each for each in attacks
    )
    block = ASKED_BLOCK if box is not None else BLOCK if data.device.type == "cpu" else GPU_BLOCK
    certify = None if config.certify == "no" else config.certify
    return Plan(
        attacks=attacks, threats=threats, precision=config.precision, block=block, seed=config.seed, certify=certify
    )


def headline_ball(config: EvaluateConfig, data: ResidentDataset, report: RobustnessReport) -> tuple[str, float]:
    """The ball of one figure a run: the usual one or, where others were asked for, the largest of these."""
    radii = [threat.eps for threat in report.threats if math.isfinite(threat.eps)] or [math.inf]
    usual = _usual_eps(config, data)
    nearest = min(radii, key=lambda eps: abs(eps - usual))
    return config.norm, max(radii) if config.eps and not math.isclose(nearest, usual) else nearest


def _fitted(
    attack: Universal, config: EvaluateConfig, model: nn.Module, threats: tuple[ThreatModel, ...], device: torch.device
) -> Attack:
    """What is learnt on training pictures, once; the test pictures judge it."""
    train = load(config.data).train
    some = train.sample(min(FITTED_ON, len(train)), generator=seeded(config.seed)).to(device)
    return attack.fitted(model, as_pixels(some.images), some.labels, threats, seed=config.seed)


def _usual_radii(config: EvaluateConfig, data: ResidentDataset) -> tuple[float, ...]:
    return tuple(_usual_eps(config, data) * share for share in SHARES["quick" if config.attacks else config.suite])


def _usual_eps(config: EvaluateConfig, data: ResidentDataset) -> float:
    return NORMS[config.norm].usual_eps(config.data.name, data.spec.channels)


def slug(plan: Plan, config: EvaluateConfig, data: ResidentDataset, model: nn.Module) -> str:
    """A name for the evaluation, the same whenever the same is asked of the same weights."""
    numbers = (plan.attacks, plan.threats, plan.precision, plan.seed, config.which, data.fingerprint)
    how = () if plan.certify is None else (plan.certify,)
    asked = repr((*how, *numbers, fingerprint(model), robustcnn.__version__))
    return f"{config.title}-{config.norm}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"
