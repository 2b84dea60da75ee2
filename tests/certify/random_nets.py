"""Small networks drawn at random from all layers that bounds are known of, and who looks for wrong bounds."""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn

from robustcnn.attacks import PGD
from robustcnn.certify.margins import METHODS, Method, Prover
from robustcnn.core.norms import NormName
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel

CHANNELS, SIDE, CLASSES = 2, 8, 4


class Residual(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.body(maps)


def random_net(seed: int) -> nn.Module:
    """Three to six layers, a few hundred units, weights that make it bend."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    layers: list[nn.Module] = [_Normalised()] if draw.random() < 0.5 else []
    channels = CHANNELS
    for _ in range(draw.choice((1, 2, 2))):
        width = draw.choice((2, 4))
        groups = 2 if channels % 2 == 0 and width % 2 == 0 and draw.random() < 0.3 else 1
        kernel, stride, padding = draw.choice(((3, 1, 1), (2, 2, 0), (3, 2, 1), (1, 1, 0), (4, 2, 1)))
        dilation = draw.choice((1, 1, 2)) if (kernel, padding) == (3, 1) else 1
        layers.append(nn.Conv2d(channels, width, kernel, stride, padding * dilation, dilation, groups))
        channels = width
        layers += [_norm(channels)] if draw.random() < 0.4 else []
        layers.append(_activation(draw))
        if draw.random() < 0.3:
            layers.append(Residual(nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), _activation(draw))))
        size = nn.Sequential(*layers).eval()(torch.zeros(1, CHANNELS, SIDE, SIDE)).shape[-1]
        layers += _pool(draw) if size > 2 else []
        if size < 4:
            break
    layers += [nn.Flatten(), nn.LazyLinear(draw.choice((8, 12))), _activation(draw), nn.Dropout(0.3)]
    layers.append(nn.LazyLinear(CLASSES))
    model = nn.Sequential(*layers).eval()
    with torch.no_grad():
        model(torch.rand(1, CHANNELS, SIDE, SIDE))
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model


class _Normalised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.rand(CHANNELS, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / 0.4


def _activation(draw: random.Random) -> nn.Module:
    kinds = (nn.ReLU, nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.ELU, nn.Softplus)
    return draw.choice(kinds)()


def _norm(channels: int) -> nn.Module:
    norm = nn.BatchNorm2d(channels)
    norm.running_mean.normal_(0, 0.3)
    norm.running_var.uniform_(0.3, 2)
    with torch.no_grad():
        norm.weight.normal_(0, 1)
        norm.bias.normal_(0, 0.3)
    return norm


def _pool(draw: random.Random) -> list[nn.Module]:
    return draw.choice(
        (
            [],
            [],
            [nn.MaxPool2d(2, 1)],
            [nn.MaxPool2d(3, 2, 1)],
            [nn.MaxPool2d(2, 1, ceil_mode=True)],
            [nn.AvgPool2d(2, 1, 1)],
            [nn.AdaptiveAvgPool2d(2)],
        )
    )


def points(seed: int, count: int = 6) -> Tensor:
    """Images of which some pixels are at a bound, as real ones are."""
    return (1.4 * torch.rand(count, CHANNELS, SIDE, SIDE, generator=seeded(seed)) - 0.2).clamp(0, 1)


def margins(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    logits = model(images).detach().double()
    return logits.gather(1, labels[:, None]) - logits


def attacked(model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, seed: int) -> list[Tensor]:
    """PGD towards every class, corners of the ball, and random points of it."""
    generator = seeded(seed)
    found = [PGD(steps=12, restarts=2)(model, images, labels, threat, generator=generator)]
    for _ in range(6):
        found.append(threat.sample(images, generator))
        away = torch.randn(images.shape, generator=generator)
        found.append(threat.project(images + 10 * threat.steepest(away), images))
    found += [_towards(model, images, labels, target, threat) for target in range(CLASSES)]
    return [images, *found]


def _towards(model: nn.Module, images: Tensor, labels: Tensor, target: int, threat: ThreatModel) -> Tensor:
    here = images
    for _ in range(15):
        leaf = here.detach().requires_grad_()
        logits = model(leaf)
        loss = (logits[:, target] - logits.gather(1, labels[:, None])[:, 0]).sum()
        (gradient,) = torch.autograd.grad(loss, leaf)
        here = threat.project(here + 0.3 * threat.eps * threat.steepest(gradient, current=here), images)
    return here


def worst_violation(
    seed: int, *, norms: tuple[NormName, ...] = ("linf", "l2", "l1"), methods: tuple[Method, ...] = METHODS
) -> float:
    """By how much a bound exceeds a margin that was seen in the ball: above 0, it is wrong."""
    model, images = random_net(seed), points(seed)
    labels = model(images).argmax(1)
    worst = -float("inf")
    scale = random.Random(seed).choice((0.2, 1.0))
    prover = Prover(model, images, labels, ThreatModel(eps=0.1), steps=4)
    rows = torch.arange(len(images))
    for norm in norms:
        threat = ThreatModel(norm=norm, eps=scale * {"linf": 0.1, "l2": 0.6, "l1": 2.5}[norm])
        seen = [margins(model, each, labels) for each in attacked(model, images, labels, threat, seed)]
        least = torch.stack(seen).amin(0)
        for method in methods:
            bound = prover.bounds(rows, method, threat).scatter(1, labels[:, None], 0)
            worst = max(worst, float((bound - least).scatter(1, labels[:, None], -1).max()))
    return worst
