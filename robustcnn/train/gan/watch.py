"""A GAN from epoch to epoch: how its samples stand beside real images, and the alarms for what goes wrong."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robustcnn.core.runtime import derived_seed, evaluating, seeded
from robustcnn.data.resident import ResidentDataset, as_pixels
from robustcnn.models.dcgan import Generator
from robustcnn.train.gan.frechet import Features, frechet_distance
from robustcnn.train.gan.latents import sample_latents
from robustcnn.train.gan.metrics import GanMetrics

NOTHING, ALIVE = 0.1, 0.3
"""Diversity: under NOTHING the images are nearly one; a generator that was never over ALIVE may still be starting."""
WON = 0.99
"""Accuracy on real and on generated images from which the discriminator leaves its opponent nothing to learn from."""
PATIENCE = 5
"""Epochs in a row after which being under NOTHING from the start, or beaten, is no longer something that passes."""
PAIRED = 256
"""Images among which every pair is measured."""


class GanAlarm(UserWarning):
    """The generator has collapsed, or the discriminator has won outright."""


class SampleWatch:
    """The real images and the latent vectors that every epoch is judged with."""

    def __init__(self, data: ResidentDataset, features: Features, *, latent: int, count: int, seed: int) -> None:
        chosen = torch.randperm(len(data), generator=seeded(derived_seed(seed, "real samples")))[:count]
        real = as_pixels(data.images[chosen.to(data.device)])
        self.features = features
        self.latents = sample_latents(count, latent, seed=seed, purpose="judged samples").to(data.device)
        self.real_features, self.real_spread = features(real), spread(real[:PAIRED])

    def __call__(self, generator: Generator) -> tuple[float, float]:
        """(diversity, Frechet distance)."""
        images = generated(generator, self.latents)
        diversity = spread(images[:PAIRED]) / max(self.real_spread, 1e-12)
        return diversity, frechet_distance(self.features(images), self.real_features)


def generated(generator: Generator, latents: Tensor) -> Tensor:
    """Float32 images by the averages that batch norm has gathered, so that each depends on its own vector alone."""
    with evaluating(generator), torch.no_grad():
        return torch.cat([generator(part) for part in latents.split(250)])


def spread(images: Tensor) -> float:
    """Mean Euclidean distance over all pairs."""
    return torch.pdist(images.flatten(1)).mean().item()


def alarm(history: Sequence[GanMetrics]) -> list[str]:
    """What to say of the last epoch: the troubles that began or turned out in it."""
    return [said for trouble in (_collapse, _win) if (said := trouble(history)) and not trouble(history[:-1])]


def alarms(history: Sequence[GanMetrics]) -> list[str]:
    """All that there was to say, epoch by epoch."""
    return [said for count in range(1, len(history) + 1) for said in alarm(history[:count])]


def _collapse(history: Sequence[GanMetrics]) -> str | None:
    if not history or history[-1].diversity >= NOTHING:
        return None
    was_alive = max(past.diversity for past in history) > ALIVE
    if not was_alive and not _lasted([past.diversity < NOTHING for past in history]):
        return None
    last = history[-1]
    return (
        f"epoch {last.epoch}: the generator has collapsed: its images differ by {100 * last.diversity:.2g} % of what "
        "real ones do (lower --fit.generator-lr, larger --fit.batch-size, or --fit.loss hinge --model.spectral-norm)"
    )


def _win(history: Sequence[GanMetrics]) -> str | None:
    if not _lasted([min(past.accuracy_on_real, past.accuracy_on_generated) >= WON for past in history]):
        return None
    last = history[-1]
    found = 100 * min(last.accuracy_on_real, last.accuracy_on_generated)
    return (
        f"epoch {last.epoch}: the discriminator has won: for {PATIENCE} epochs it told real from generated at least "
        f"{100 * WON:g} % of the time (now {found:.1f} %), which leaves the generator little to learn from "
        "(lower --fit.lr with --fit.generator-lr as it is, lower --fit.real-label, or --model.spectral-norm)"
    )


def _lasted(signs: Sequence[bool]) -> bool:
    return len(signs) >= PATIENCE and all(signs[-PATIENCE:])
