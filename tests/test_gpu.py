"""On a GPU: the same answers as on the CPU, from every attack, objective, check and bound."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from robustcnn.attacks import (
    APGD,
    BIM,
    DDN,
    FAB,
    FGSM,
    FMN,
    MIFGSM,
    PGD,
    RFGSM,
    Attack,
    AutoAttack,
    CarliniWagner,
    CornerNoise,
    DeepFool,
    GaussianNoise,
    NearestTargets,
    Smallest,
    SpatialGradient,
    SpatialGrid,
    Square,
    StagedPGD,
    Swift,
    UniformNoise,
    Universal,
    craft,
    is_fooled,
)
from robustcnn.attacks.curve import breaking_eps
from robustcnn.certify import bounds
from robustcnn.core.runtime import Precision, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data import DataConfig, load
from robustcnn.data.registry import Splits
from robustcnn.evaluate import evaluate, score
from robustcnn.evaluate.checks.run import run_checks
from robustcnn.models import ModelConfig, PixelModel, build
from robustcnn.train import Adversarial, Fast, FitConfig, OptimConfig, Standard, Trades, fit
from robustcnn.train.settings import OBJECTIVES

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here"),
    pytest.mark.filterwarnings("default"),
]

EPS = {"linf": 0.1, "l2": 1.0, "l1": 6.0}
EVERY = ("linf", "l2", "l1")
ATTACKS: list[tuple[Attack, tuple[str, ...]]] = [
    (FGSM(), EVERY),
    (RFGSM(), ("linf",)),
    (BIM(steps=5), ("linf",)),
    (MIFGSM(steps=5, diversity=0.5, translation=3), ("linf",)),
    (PGD(steps=10, restarts=2), EVERY),
    (APGD(steps=20, targets=2, loss="dlr"), EVERY),
    (FAB(steps=10, targets=2), EVERY),
    (DeepFool(steps=10), EVERY),
    (FMN(steps=30), EVERY),
    (DDN(steps=20), ("l2",)),
    (CarliniWagner(steps=30, searches=2), ("l2",)),
    (Square(queries=200), EVERY),
    (StagedPGD(steps=20), EVERY),
    (NearestTargets(steps=10), EVERY),
    (UniformNoise(draws=20), EVERY),
    (GaussianNoise(draws=20), ("l2",)),
    (CornerNoise(draws=20), ("l1",)),
    (Universal(epochs=2), ("linf", "l2")),
    (Smallest(attack=PGD(steps=10, stop=True), steps=4), ("linf",)),
    (SpatialGrid(), ("linf",)),
    (SpatialGradient(), ("linf",)),
    (Swift(), ("linf",)),
    (AutoAttack(), ("linf",)),
]
CASES = [pytest.param(attack, norm, id=f"{attack!r}-{norm}") for attack, norms in ATTACKS for norm in norms]


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load(DataConfig(name="digits"))


def trained(splits: Splits, config: FitConfig, device: str, precision: Precision = "fp32") -> PixelModel:
    torch.manual_seed(0)
    model = build(ModelConfig(name="smallcnn", width=0.25), splits.train.spec)
    parts = (splits.train.to(device), splits.validation.to(device))
    list(fit(model, *parts, config, precision=precision, progress=False))
    return model.eval()


@pytest.fixture(scope="module")
def robust(splits: Splits) -> PixelModel:
    """Adversarially trained on the GPU, and left there."""
    objective = Adversarial(threat=ThreatModel(eps=0.1), steps=3, warmup=0.3)
    return trained(splits, FitConfig(epochs=12, batch_size=64, objective=objective), "cuda")


@pytest.mark.parametrize(("attack", "norm"), CASES)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_attack_breaks_as_many_as_on_the_cpu(
    attack: Attack, norm: str, precision: Precision, robust: PixelModel, splits: Splits
) -> None:
    part = splits.test.subset(40)
    threat = ThreatModel(norm=norm, eps=EPS[norm])
    standing = {}
    for device in ("cuda", "cpu"):
        model, here = robust.to(device).eval(), part.to(device)
        pixels = here.images.float() / 255
        found = craft(attack, model, pixels, here.labels, threat, precision=precision)
        assert found.device.type == device
        if not isinstance(attack, SpatialGrid | SpatialGradient):
            torch.testing.assert_close(threat.project(found, pixels), found, atol=1e-6, rtol=0)
        with torch.no_grad():
            standing[device] = int((~is_fooled(model(found), here.labels)).sum())
    robust.to("cuda")
    # Each device draws other random numbers.
    assert abs(standing["cuda"] - standing["cpu"]) <= 3, standing


@pytest.mark.parametrize("name", list(OBJECTIVES))
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_objective_learns_as_much_as_on_the_cpu(name: str, precision: Precision, splits: Splits) -> None:
    kind = OBJECTIVES[name]
    # Bounds learn slowly: a smaller ball, and less asked.
    proven = getattr(kind, "certifies", False)
    threat = ThreatModel(eps=0.005 if proven else 0.05)
    objective = kind() if kind is Standard else kind(threat=threat)  # type: ignore[call-arg]
    config = FitConfig(epochs=4, batch_size=64, objective=objective, ema=0.9, optim=OptimConfig(lr=0.02))
    accuracy = {}
    for device in ("cuda", "cpu"):
        model = trained(splits, config, device, precision)
        accuracy[device] = score(model, splits.test.to(device)).accuracy
    assert abs(accuracy["cuda"] - accuracy["cpu"]) < 0.1, accuracy
    assert accuracy["cuda"] > (0.3 if proven else 0.75)


@pytest.mark.parametrize("extra", [{"awp": 0.005}, {"l1": 1e-3, "l2": 1e-3}, {"clip": 1.0}])
def test_the_other_ways_of_training_run(extra: dict[str, float], splits: Splits) -> None:
    base = FitConfig(epochs=3, batch_size=64, objective=Trades(threat=ThreatModel(eps=0.05), steps=2))
    model = trained(splits, replace(base, **extra), "cuda", "bf16")  # type: ignore[arg-type]
    assert score(model, splits.test.to("cuda")).accuracy > 0.7


def test_a_compiled_training_learns_too(splits: Splits) -> None:
    torch.manual_seed(0)
    model = build(ModelConfig(name="smallcnn", width=0.25), splits.train.spec)
    config = FitConfig(epochs=3, batch_size=64, objective=Fast(threat=ThreatModel(eps=0.05)))
    parts = (splits.train.to("cuda"), splits.validation.to("cuda"))
    list(fit(model, *parts, config, precision="bf16", compiled=True, progress=False))
    assert score(model, splits.test.to("cuda")).accuracy > 0.7


def test_an_evaluation_with_checks_and_bounds_is_the_cpus(robust: PixelModel, splits: Splits) -> None:
    part = splits.test.sample(80, generator=seeded(0))
    threats = [ThreatModel(eps=eps) for eps in (0.05, 0.1)]
    figures = {}
    for device in ("cuda", "cpu"):
        model, here = robust.to(device).eval(), part.to(device)
        findings = run_checks(model, here, threats[1], count=80)
        attacks = [PGD(steps=20), Square(queries=100)]
        report = evaluate(model, here, attacks, threats, certify="crown", findings=findings)
        figures[device] = [each.robust.value for each in report.threats]
        assert not [each for each in report.findings if each.verdict == "fail"], findings
    robust.to("cuda")
    assert figures["cuda"] == pytest.approx(figures["cpu"], abs=0.04)


def test_bounds_and_breaking_radii_are_the_cpus(robust: PixelModel, splits: Splits) -> None:
    part, threat = splits.test.subset(20), ThreatModel(eps=0.03)
    rising = [ThreatModel(eps=step / 50) for step in range(1, 11)]
    found = {}
    for device in ("cuda", "cpu"):
        model, here = robust.to(device).eval(), part.to(device)
        pixels = here.images.float() / 255
        margins = bounds(model, pixels, here.labels, threat, method="crown")
        radii = breaking_eps(PGD(steps=20), model, pixels, here.labels, rising)
        found[device] = margins.cpu(), radii.cpu()
    robust.to("cuda")
    (ours, radii), (expected, expected_radii) = found["cuda"], found["cpu"]
    torch.testing.assert_close(ours, expected, atol=1e-3, rtol=1e-3)
    assert (radii == expected_radii).double().mean() >= 0.8
