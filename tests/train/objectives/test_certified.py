"""Training for bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from robustcnn import FitConfig, OptimConfig, ThreatModel, build, fit, load
from robustcnn.certify import certified
from robustcnn.certify.region import Region
from robustcnn.core.runtime import seeded
from robustcnn.data.resident import as_pixels
from robustcnn.train import Adversarial, CrownIbp, Ibp, Sabr, Standard
from robustcnn.train.objectives.certified import Certified, Places
from robustcnn.train.objectives.standard import Stage, begin
from robustcnn.train.recompute import Recomputed

THREAT = ThreatModel(eps=0.05)


def _losses(objective: Certified, progress: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(its losses, clean ones) of an untrained network on some digits."""
    train, _, _ = load("digits")
    torch.manual_seed(0)
    model = build("stridedcnn", train.spec, width=0.25)
    images, labels = next(train.batches(16))
    scorer = begin(objective, Stage(model, images[:4], "fp32"))
    loss = scorer(images, labels, seeded(0), progress=progress)(model)
    return loss, torch.nn.functional.cross_entropy(model(images), labels, reduction="none")


@pytest.mark.parametrize("kind", [Ibp, CrownIbp, Sabr])
def test_the_loss_is_the_clean_one_until_eps_grows_and_above_it_after(kind: type[Certified]) -> None:
    objective = kind(threat=THREAT, warmup=0.5, clean=0.1, kappa=0.0)
    early, clean = _losses(objective, 0.05)
    torch.testing.assert_close(early, clean)
    late, clean = _losses(objective, 0.9)
    assert (late > clean).all()


def test_the_loss_with_no_eps_is_the_clean_one() -> None:
    loss, clean = _losses(Ibp(threat=ThreatModel(eps=0.0), kappa=0.3), 0.9)
    torch.testing.assert_close(loss, clean, atol=1e-3, rtol=1e-3)


def test_linear_bounds_are_closer_and_a_smaller_box_asks_for_less() -> None:
    interval, _ = _losses(Ibp(threat=THREAT, kappa=0.0), 0.9)
    linear, _ = _losses(CrownIbp(threat=THREAT, kappa=0.0, linear=1.0), 0.9)
    small, _ = _losses(Sabr(threat=THREAT, box=0.2, steps=2), 0.9)
    assert linear.mean() < interval.mean()
    assert small.mean() < interval.mean()


def test_eps_and_the_share_of_the_bound_grow_together() -> None:
    objective = Ibp(threat=THREAT, warmup=0.6, clean=0.2)
    assert [objective.ramp(progress) for progress in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert objective.threat_at(0.4).eps == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"clean": 0.7}, "clean must lie in"),
        ({"kappa": 1.5}, "kappa is the share"),
        ({"threat": ThreatModel(norm="l2", eps=1.0)}, "bounds are trained for linf only, got l2"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Ibp(**options)
    with pytest.raises(ValueError, match="box is the small box's share"):
        Sabr(box=0.0)
    with pytest.raises(ValueError, match="linear is the share"):
        CrownIbp(linear=2.0)


def test_monitoring_proofs_needs_an_objective_about_bounds() -> None:
    assert FitConfig(objective=Ibp()).monitored == "certified_accuracy"
    with pytest.raises(ValueError, match="needs an objective about bounds, got adversarial"):
        FitConfig(objective=Adversarial(), monitor="certified_accuracy")
    with pytest.raises(ValueError, match="rollback"):
        FitConfig(objective=Ibp(), on_overfitting="rollback")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "epochs"),
    [(Ibp(threat=THREAT), 8), (CrownIbp(threat=THREAT), 10), (Sabr(threat=THREAT, steps=3), 15)],
)
def test_training_for_bounds_proves_most_digits_and_the_best_epoch_is_the_most_proven(
    objective: Certified, epochs: int
) -> None:
    train, validation, test = load("digits")
    torch.manual_seed(0)
    model = build("stridedcnn", train.spec, width=0.25, narrow_init=True)
    config = FitConfig(
        epochs=epochs,
        batch_size=32,
        optim=OptimConfig(name="adam", lr=3e-3, schedule="cosine"),
        objective=replace(objective, warmup=0.5),
        watch=100,
    )
    history = list(fit(model, train, validation, config))
    best = [epoch for epoch in history if epoch.best][-1]
    assert best.certified_accuracy == max(epoch.certified_accuracy or 0.0 for epoch in history)
    assert all((epoch.certified_accuracy or 0.0) <= (epoch.robust_accuracy or 0.0) for epoch in history)
    proven = certified(model, as_pixels(test.images), test.labels, THREAT, method="interval")
    assert proven.double().mean() > 0.7


class AtAPoint(Ibp):
    """Bounds of the pictures themselves."""

    def places(self, stage: Stage) -> Places:  # noqa: ARG002
        return lambda images, labels, threat, generator: Region.point(images)  # noqa: ARG005


@pytest.mark.parametrize("recomputed", [False, True])
def test_bounds_share_the_clean_batchs_statistics_and_the_gradients_through_them(recomputed: bool) -> None:
    """At a point the loss on bounds is that of the clean pass, gradients included: no running average is in it."""
    train, _, _ = load("digits")
    images, labels = next(train.batches(16))
    images, found = images.double(), []
    for objective in (AtAPoint(kappa=0.0), Standard()):
        model = build("stridedcnn", train.spec, width=0.25, batch_norm=True, seed=0).double().train()
        if recomputed:
            Recomputed(model)
        loss = begin(objective, Stage(model, images[:4], "fp32"))(images, labels, seeded(0), progress=0.9)(model)
        found.append((loss, torch.autograd.grad(loss.mean(), list(model.parameters())), dict(model.named_buffers())))
    torch.testing.assert_close(found[0], found[1])
    assert not any(module._forward_pre_hooks for module in model.modules())
