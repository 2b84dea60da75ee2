"""Defences of a third round, made up after the checklist's rivals and those that were held out: combinations mostly."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.broken_defences import Turned, Wrapped
from lib.healthy_models import FIELDS, healthy
from robustcnn import ResidentDataset
from robustcnn.core.runtime import global_seed
from robustcnn.data.resident import as_pixels


class Around(nn.Module):
    """What is wrapped round a network."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net


class Warped(Around):
    """Turned and moved by what the picture itself says, to the nearest pixel."""

    def forward(self, images: Tensor) -> Tensor:
        said = images.detach().flatten(1)
        angle, shift = 0.15 * (400 * said.mean(1)).sin(), 0.06 * (900 * said.std(1)).sin()
        turn = torch.stack([angle.cos(), -angle.sin(), shift, angle.sin(), angle.cos(), -shift], 1).view(-1, 2, 3)
        grid = F.affine_grid(turn, list(images.shape), align_corners=False)
        logits: Tensor = self.net(F.grid_sample(images, grid, mode="nearest", align_corners=False))
        return logits


class Denoised(Around):
    """A learnt denoiser whose answer is black or white, with a slope a thousandth of its own."""

    def __init__(self, net: nn.Module, train: ResidentDataset) -> None:
        super().__init__(net)
        images, channels = as_pixels(train.images), train.spec.channels
        with global_seed(0):
            layers = [nn.Conv2d(channels, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, channels, 5, padding=2)]
            self.denoiser = nn.Sequential(*layers)
            adam = torch.optim.Adam(self.denoiser.parameters(), lr=5e-3)
            for _ in range(100):
                clean = images[torch.randint(len(images), (64,))]
                loss = F.mse_loss(self.denoiser(clean + 0.2 * torch.randn_like(clean)), clean)
                adam.zero_grad()
                loss.backward()
                adam.step()

    def forward(self, images: Tensor) -> Tensor:
        calm = self.denoiser(images)
        logits: Tensor = self.net(((calm > 0.5).float() - 1e-3 * calm).detach() + 1e-3 * calm)
        return logits


class Gated(nn.Module):
    """A layer after which a third of the maps are dropped at random."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.layer(images)
        return maps * (torch.rand(*maps.shape[:2], 1, 1) > 0.3) / 0.7


class Coarse(nn.Module):
    """A layer whose answers are rounded, and sent back with the wrong sign."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.layer(images)
        turned: Tensor = Turned.apply(maps)
        return turned + ((2 * maps).round() / 2 - maps).detach()


class Electing(Around):
    """Several networks vote; what is left of their logits says nothing."""

    def __init__(self, net: nn.Module, *others: nn.Module) -> None:
        super().__init__(net)
        self.others = nn.ModuleList(others)

    def forward(self, images: Tensor) -> Tensor:
        scores = [each(images) for each in (self.net, *self.others)]
        votes = torch.stack([F.one_hot(each.argmax(1), each.shape[1]).float() for each in scores]).sum(0)
        return votes + 1e-3 * scores[0].flip(1).tanh()


class Drawing(Electing):
    """One of several networks answers, whichever is drawn, on a picture with noise."""

    def forward(self, images: Tensor) -> Tensor:
        drawn = (self.net, *self.others)[int(torch.randint(1 + len(self.others), ()))]
        logits: Tensor = drawn(images + 0.1 * torch.randn_like(images))
        return logits


class Remembering(Around):
    """Where the network is not sure, the nearest training picture answers, seen in four levels."""

    def __init__(self, net: nn.Module, train: ResidentDataset) -> None:
        super().__init__(net)
        images, labels = next(train.batches(1000))
        self.register_buffer("home", self._seen(images))
        self.register_buffer("labels", F.one_hot(labels, train.spec.num_classes).float())

    @staticmethod
    def _seen(images: Tensor) -> Tensor:
        return (3 * F.avg_pool2d(images, 4)).round().flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.net(images)
        unsure = (logits.softmax(1).amax(1) < 0.99)[:, None]
        with torch.no_grad():
            known = 5 * self.labels[torch.cdist(self._seen(images), self.home).argmin(1)]
        return torch.where(unsure, known, logits)


class Refusing(Around):
    """No answer, all classes alike, where a picture is rough; else that for its blurred and rounded self."""

    def forward(self, images: Tensor) -> Tensor:
        calm = F.avg_pool2d(images, 3, stride=1, padding=1)
        rough = ((images - calm).abs().flatten(1).mean(1) > 0.2)[:, None]
        logits = self.net(images + ((5 * calm).round() / 5 - images).detach())
        return torch.where(rough, 0 * logits, logits)


class Keyed(Around):
    """The picture's own digits choose which of eight shifts the network sees."""

    def forward(self, images: Tensor) -> Tensor:
        keys = (images.detach().double().flatten(1).sum(1) * 1e5).long() % 8
        moves = [(i, j) for i in (-2, 0, 2) for j in (-2, 0, 2) if i or j]
        shown = torch.stack([images[row].roll(moves[key], (1, 2)) for row, key in enumerate(keys.tolist())])
        logits: Tensor = self.net(shown)
        return logits


class Normalising(Around):
    """Batches of more than one picture are brought to one mean and spread, a single picture is left alone."""

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > 1:
            images = (images - images.mean()) / images.std() * 0.35 + 0.3
        logits: Tensor = self.net(images)
        return logits


def ranked(images: Tensor) -> Tensor:
    """Each pixel becomes its place among all pixels of the picture."""
    flat = images.flatten(1)
    places = flat.argsort(1).argsort(1).float() / flat.shape[1]
    return (0.5 * images + 0.5 * places.view_as(images).pow(4)).detach() + 1e-3 * (images - images.detach())


def clipped(images: Tensor) -> Tensor:
    """What comes back is drowned in noise."""
    shown = images + 0
    if shown.requires_grad:
        shown.register_hook(lambda slope: slope.clamp(-1e-6, 1e-6) + 1e-5 * torch.randn_like(slope))
    return shown


def noisy_levels(images: Tensor) -> Tensor:
    return (5 * (images + 0.15 * torch.randn_like(images))).round() / 5


def heated(logits: Tensor) -> Tensor:
    """A temperature for each example, smoothed to log-probabilities that end at one in a million."""
    heat = 10 ** (2 * (50 * logits.detach().std(1, keepdim=True)).sin())
    return (0.999 * (logits * heat).softmax(1) + 1e-6).log()


def later(
    net: nn.Module,
    train: ResidentDataset,
    validation: ResidentDataset,  # noqa: ARG001
    folder: Path,
) -> dict[str, Callable[[], nn.Module]]:
    """How to make each of them, by name."""
    return {
        "warp": partial(Warped, net),
        "denoiser": partial(Denoised, net, train),
        "dropped maps": partial(_inside, net, Gated),
        "turned features": partial(_inside, net, Coarse),
        "election": lambda: Electing(net, *_others(folder)),
        "drawn network": lambda: Drawing(net, *_others(folder)),
        "memory": partial(Remembering, net, train),
        "refusal": partial(Refusing, net),
        "keyed": partial(Keyed, net),
        "batch": partial(Normalising, net),
        "ranks": partial(Wrapped, net, before=ranked),
        "clipped slope": partial(Wrapped, net, before=clipped),
        "noisy levels": partial(Wrapped, net, before=noisy_levels),
        "temperatures": partial(Wrapped, net, after=heated),
    }


def _inside(net: nn.Module, kind: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """With something done to what its first convolution gives."""
    changed = copy.deepcopy(net)
    for parent in list(changed.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                setattr(parent, name, kind(child))
                return changed
    return changed


def _others(folder: Path) -> list[nn.Module]:
    field = FIELDS[0]
    return [
        healthy(field, "lenet5", None, "plain", folder),
        healthy(field, "smallcnn", 0.25, "regularised", folder),
    ]
