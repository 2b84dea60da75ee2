"""More defences that hide how weak a network is, of kinds that the checklist was not built on.

They came after the checklist's rivals, to see whether these find what nobody told them of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.broken_defences import fitted, fresh, replaced
from robustcnn import ResidentDataset, build
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import as_pixels
from robustcnn.train import Mixture


class OwnNoise(nn.Module):
    """Noise that the picture itself is the seed of: the same each time, another one next to it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        seeds = (images.detach().double().flatten(1).sum(1) * 1e7).long().tolist()
        noise = torch.stack([torch.randn(images.shape[1:], generator=seeded(seed % 2**31)) for seed in seeds])
        logits: Tensor = self.net(images + 0.25 * noise.to(images))
        return logits


class AntiAdversary(nn.Module):
    """Moves the picture towards what the network takes it for, before it answers (Alfarra et al. 2022)."""

    def __init__(self, net: nn.Module, reach: float = 0.1, steps: int = 3) -> None:
        super().__init__()
        self.net, self.reach, self.steps = net, reach, steps

    def forward(self, images: Tensor) -> Tensor:
        change = torch.zeros_like(images)
        with torch.enable_grad():
            said = self.net(images.detach()).argmax(1)
            for _ in range(self.steps):
                moved = (images.detach() + change).requires_grad_()
                loss = F.cross_entropy(self.net(moved), said, reduction="sum")
                change = change - self.reach / self.steps * torch.autograd.grad(loss, moved)[0].sign()
        logits: Tensor = self.net(images + change.detach())
        return logits


class Vote(nn.Module):
    """Five shifted copies vote; a trace of their logits keeps it differentiable."""

    SHIFTS = ((0, 0), (0, 2), (2, 0), (0, -2), (-2, 0))

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        scores = [self.net(images.roll(shift, (2, 3))) for shift in self.SHIFTS]
        votes = sum(F.one_hot(each.argmax(1), each.shape[1]).float() for each in scores)
        return votes + 1e-4 * sum(scores).flip(1).sin()


class Strongest(nn.Module):
    """The most confident of nine shifted copies answers, whichever that is."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        scores = torch.stack([self.net(images.roll((i, j), (2, 3))) for i in (-1, 0, 1) for j in (-1, 0, 1)], 1)
        sure = scores.detach().softmax(2).amax(2).argmax(1)
        return scores[torch.arange(len(images)), sure]


class Frequencies(nn.Module):
    """Only the largest twentieth of a picture's Fourier coefficients is kept, and these in coarse steps."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        waves = torch.fft.rfft2(images)
        size = waves.abs()
        least = size.flatten(1).topk(max(size[0].numel() // 20, 1), dim=1).values[:, -1].view(-1, 1, 1, 1)
        kept = torch.where(size >= least, waves, torch.zeros_like(waves))
        shown = torch.fft.irfft2(kept, s=images.shape[2:])
        coarse = shown + ((6 * shown).round() / 6 - shown).detach() * 1.0
        logits: Tensor = self.net(0.02 * shown + 0.98 * coarse.detach())
        return logits


class Neighbours(nn.Module):
    """The class of the training pictures whose last features lie nearest, told by a steep softmax of distances."""

    def __init__(self, net: nn.Module, train: ResidentDataset) -> None:
        super().__init__()
        self.net = net
        images, labels = next(train.batches(600))
        with torch.no_grad():
            self.register_buffer("home", F.normalize(net(images)))
        self.register_buffer("labels", F.one_hot(labels, train.spec.num_classes).float())

    def forward(self, images: Tensor) -> Tensor:
        here = F.normalize(self.net(images))
        near = (3000 * (here @ self.home.T - 1)).softmax(1) @ self.labels
        return (near + 1e-12).log()


class DeadZone(nn.Module):
    """What differs from the picture's surroundings by less than an eighth is smoothed away."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        calm = F.avg_pool2d(F.pad(images, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
        rough = images - calm
        logits: Tensor = self.net((calm * 8).round() / 8 + torch.where(rough.abs() > 0.25, rough, 0.01 * rough))
        return logits


class Waves(nn.Module):
    """A sine for an activation."""

    def forward(self, maps: Tensor) -> Tensor:
        return (2 * maps).sin()


class Codes(nn.Module):
    """Answers with bits, squashed hard, of a code with room between its words (Verma & Swami 2019)."""

    def __init__(self, net: nn.Module, classes: int) -> None:
        super().__init__()
        self.net, self.spec = net, net.spec
        self.spread = nn.Linear(classes, 32)
        self.register_buffer("words", (torch.randint(2, (classes, 32), generator=seeded(3)) * 2 - 1).float())

    def forward(self, images: Tensor) -> Tensor:
        bits = (3 * self.spread(self.net(images))).tanh()
        return bits @ self.words.T


class Blended(nn.Module):
    """The mean over random blends with training pictures (Pang et al. 2020)."""

    def __init__(self, net: nn.Module, train: ResidentDataset) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("others", next(train.batches(200))[0])

    def forward(self, images: Tensor) -> Tensor:
        scores = []
        for _ in range(4):
            other = self.others[torch.randint(len(self.others), (len(images),))]
            scores.append(self.net(0.65 * images + 0.35 * other).softmax(1))
        return (torch.stack(scores).mean(0) + 1e-6).log()


class Pruned(nn.Module):
    """A random part of a layer's outputs passes, the large ones more often (Dhillon et al. 2018)."""

    def forward(self, maps: Tensor) -> Tensor:
        flat = maps.relu().flatten(1)
        odds = flat / flat.sum(1, keepdim=True).clamp_min(1e-6)
        kept = 1 - (1 - odds).pow(flat.shape[1] // 2)
        drawn = (torch.rand_like(kept) < kept).float()
        return (flat * drawn / kept.clamp_min(1e-3)).view_as(maps)


class Thermometer(nn.Module):
    """Every pixel becomes three switches (Buckman et al. 2018), with a slope that is everybody's."""

    def __init__(self, net: nn.Module, spec: ImageSpec) -> None:
        super().__init__()
        self.net, self.spec = net, spec

    def forward(self, images: Tensor) -> Tensor:
        steps = torch.linspace(0.25, 0.75, 3).to(images)
        on = torch.cat([(images > step).float() + 0 * images for step in steps], 1)
        weak = torch.cat([(10 * (images - step)).sigmoid() for step in steps], 1)
        logits: Tensor = self.net(on + 1e-3 * (weak - weak.detach()))
        return logits


class Purified(nn.Module):
    """The nearest picture that a few principal components make, in coarse steps (a denoiser without training)."""

    def __init__(self, net: nn.Module, train: ResidentDataset) -> None:
        super().__init__()
        self.net = net
        images = as_pixels(train.images).flatten(1)
        self.register_buffer("mean", images.mean(0))
        self.register_buffer("ways", torch.linalg.svd(images - self.mean, full_matrices=False)[2][:30])

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1) - self.mean
        found = flat @ self.ways.T
        found = found.sign() * (found.abs() - 0.3).relu()
        found = (found * 2).round() / 2 + 0.02 * (found - found.detach())
        logits: Tensor = self.net((self.mean + found @ self.ways).view_as(images).clamp(0, 1))
        return logits


def held_out(
    net: nn.Module, train: ResidentDataset, validation: ResidentDataset, folder: Path
) -> dict[str, Callable[[], nn.Module]]:
    """How to make each of them, by name; those that have to be trained come from a file where there is one."""
    learnt = partial(fitted, train=train, validation=validation)
    spec = train.spec
    return {
        "own noise": partial(OwnNoise, net),
        "anti-adversary": partial(AntiAdversary, net),
        "vote": partial(Vote, net),
        "strongest copy": partial(Strongest, net),
        "frequencies": partial(Frequencies, net),
        "neighbours": partial(Neighbours, net, train),
        "dead zone": partial(DeadZone, net),
        "purified": partial(Purified, net, train),
        "blended": partial(Blended, net, train),
        "sines": lambda: learnt(replaced(fresh(train), Waves), folder / "sines"),
        "codes": lambda: learnt(Codes(fresh(train), spec.num_classes), folder / "codes"),
        "pruned": lambda: learnt(replaced(fresh(train), Pruned), folder / "pruned"),
        "thermometer": lambda: learnt(Thermometer(_of_switches(train), spec), folder / "thermometer"),
        "one step": lambda: learnt(fresh(train), folder / "one-step", objective=Mixture(threat=BALL, alpha=0.5)),
    }


BALL = ThreatModel(norm="linf", eps=0.1)


def _of_switches(train: ResidentDataset) -> nn.Module:
    spec = replace(train.spec, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
    with global_seed(0):
        return build("smallcnn", spec, width=0.25)
