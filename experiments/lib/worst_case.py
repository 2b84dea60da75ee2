"""Cases whose answer is known: the worst case of a linear model, and another library's numbers at equal start."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from robustcnn import FitConfig, OptimConfig, ResidentDataset, build, fit, load
from robustcnn.attacks.autopgd import APGD
from robustcnn.attacks.base import Attack, is_fooled
from robustcnn.attacks.gradient import BIM, FGSM, PGD
from robustcnn.core.losses import LossName, margin
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.models import ModelConfig

LOSSES: tuple[LossName, ...] = ("margin", "odds", "ce")
"""The softmax of a confident model rounds to 1: a float32 cross-entropy then forgets the true class's logit."""
THREATS = (
    ThreatModel(norm="linf", eps=0.1),
    ThreatModel(norm="l2", eps=0.5),
    ThreatModel(norm="l1", eps=1.0),
)
LINEAR_ATTACKS: tuple[Attack, ...] = tuple(
    attack
    for loss in LOSSES
    # A share of 0 is one pixel a step: what is steepest in l1.
    for attack in (
        FGSM(loss=loss, share=0),
        PGD(loss=loss, steps=40, random_start=False, share=0),
        APGD(loss=loss, steps=100, stop=False),
    )
)
WIDE = (-10.0, 11.0)
"""Bounds that no attack here reaches: the drop is then eps times the dual norm of the weights."""


def known_cases() -> None:
    """Print both tables."""
    train, validation, test = load("mnist", classes=("3", "7"))
    model = _trained(ModelConfig(name="logistic"), train, validation, epochs=3)
    images, labels = next(test.batches(500))
    print("\nLogistic model, MNIST 3 against 7, 500 images: how far from the closed form is the rise of the margin?\n")
    print("| attack | threat | bounds | largest deviation | robust accuracy | by closed form |")
    print("|---|---|---|---|---|---|")
    for threat in THREATS:
        for bounds in (WIDE, (0.0, 1.0)) if threat.norm == "linf" else (WIDE,):
            for attack in LINEAR_ATTACKS:
                _linear_row(model, images, labels, replace(threat, bounds=bounds), attack)
    train, validation, test = load("mnist")
    network = _trained(ModelConfig(name="smallcnn", width=0.25), train, validation, epochs=1)
    images, labels = next(test.batches(500))
    _beside_foolbox(network, images, labels)
    _with_larger_logits(network, images[:200], labels[:200])


def _trained(config: ModelConfig, train: ResidentDataset, validation: ResidentDataset, *, epochs: int) -> nn.Module:
    with global_seed(0):
        model = build(config, train.spec)
    few, optim = train.subset(10_000), OptimConfig(name="adam", lr=1e-3, schedule="constant")
    for _ in fit(model, few, validation, FitConfig(epochs=epochs, optim=optim), progress=False):
        pass
    return model.eval()


def _linear_row(model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, attack: Attack) -> None:
    with torch.no_grad():
        found = threat.project(attack(model, images, labels, threat, generator=seeded(0)), images)
        before, after = margin(model(images), labels), margin(model(found), labels)
        known = _largest_rise(model, images, labels, threat)
        off = ((after - before - known).abs() / known).max()
        robust = (~is_fooled(model(found), labels)).double().mean()
        expected = (before + known <= 0).double().mean()
    where = "0 to 1" if threat.bounds == (0.0, 1.0) else "out of reach"
    print(f"| {attack} | {threat} | {where} | {off:.1e} | {100 * robust:.1f} % | {100 * expected:.1f} % |", flush=True)


def _largest_rise(model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel) -> Tensor:
    """Of the margin of a linear model; for linf each pixel goes as far as the ball and the bounds let it."""
    leaf = images.clone().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(margin(model(leaf), labels).sum(), leaf)
    if threat.norm != "linf":
        return threat.eps * threat.dual(slope)
    low, high = threat.bounds
    room = torch.where(slope > 0, high - images, images - low).clamp_max(threat.eps)
    return (slope.abs() * room).flatten(1).sum(1)


class Scaled(nn.Module):
    """A model that is the more confident, and no other class is predicted anywhere."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.factor * self.model(images)
        return logits


def _with_larger_logits(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Scaling moves no decision boundary, so that no attack should notice."""
    print(f"\nThe same network with its logits multiplied, {len(images)} images, linf 0.1: what stands\n")
    print("| attack | x 1 | x 4 | x 20 |\n|---|---|---|---|")
    for loss in LOSSES:
        for attack in (FGSM(loss=loss), PGD(loss=loss, steps=40), APGD(loss=loss, steps=100)):
            cells = []
            for factor in (1.0, 4.0, 20.0):
                victim = Scaled(model, factor)
                found = attack(victim, images, labels, ThreatModel(eps=0.1), generator=seeded(0))
                with torch.no_grad():
                    cells.append(f"{100 * (~is_fooled(model(found), labels)).double().mean():.1f} %")
            print(f"| {attack} | {' | '.join(cells)} |", flush=True)


def _beside_foolbox(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """FGSM and PGD from the images themselves, step for step."""
    try:
        import foolbox
        from foolbox import attacks
    except ImportError:
        print("\nfoolbox is not installed: pip install foolbox", flush=True)
        return
    victim = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    step = {"rel_stepsize": 0.05, "steps": 40, "random_start": False}
    pairs = (
        (FGSM(loss="ce"), attacks.LinfFastGradientAttack(), ThreatModel(eps=0.1)),
        (
            BIM(loss="ce", steps=40, step_size=0.005),
            attacks.LinfProjectedGradientDescentAttack(**step),
            ThreatModel(eps=0.1),
        ),
        (FGSM(loss="ce"), attacks.L2FastGradientAttack(), ThreatModel(norm="l2", eps=1.0)),
        (
            BIM(loss="ce", steps=40, step_size=0.05),
            attacks.L2ProjectedGradientDescentAttack(**step),
            ThreatModel(norm="l2", eps=1.0),
        ),
    )
    print("\nSmallCNN on MNIST, 500 images, the same start: ours beside foolbox's\n")
    print(
        "| attack | threat | largest difference of a pixel | robust accuracy, ours | foolbox |\n|---|---|---|---|---|"
    )
    for attack, peer, threat in pairs:
        found = attack(model, images, labels, threat)
        _, theirs, _ = peer(victim, images, labels, epsilons=threat.eps)
        with torch.no_grad():
            right = [100 * (~is_fooled(model(each), labels)).double().mean().item() for each in (found, theirs)]
        difference = (found - theirs).abs().max()
        print(f"| {attack} | {threat} | {difference:.1e} | {right[0]:.1f} % | {right[1]:.1f} % |", flush=True)
    model.zero_grad(set_to_none=True)
