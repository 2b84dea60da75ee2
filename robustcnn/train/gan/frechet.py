"""How far two sets of images lie apart, seen through a fixed network (Heusel et al. 2017, without the Inception)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from robustcnn.core.runtime import evaluating, global_seed
from robustcnn.core.spec import ImageSpec

Features = Callable[[Tensor], Tensor]
"""Numbers (N, D) that describe images (N, C, H, W)."""
CHUNK = 250


def gaussian_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))."""
    mean1, cov1, mean2, cov2 = (each.double() for each in (mean1, cov1, mean2, cov2))
    values, vectors = torch.linalg.eigh(cov1)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    # Similar to C1 C2, but symmetric, so that its eigenvalues are real and exact ones never fall below zero.
    cross = torch.linalg.eigvalsh(root @ cov2 @ root).clamp_min(0).sqrt().sum()
    distance: float = ((mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * cross).item()
    return max(0.0, distance)


def frechet_distance(features1: Tensor, features2: Tensor) -> float:
    """Between Gaussians of the same means and covariances; too large by a bias that shrinks as the sets grow."""
    return gaussian_distance(*_moments(features1), *_moments(features2))


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"features must be (N, D) of at least 2 examples, got {tuple(features.shape)}")
    return features.double().mean(0), torch.cov(features.double().T).reshape(features.shape[1], -1)


def random_features(spec: ImageSpec) -> Features:
    """A small convolutional network whose weights are random and always the same: 64 features.

    It needs no download and no labels, and tells rough from smooth, dark from bright and one layout from another; it
    is no judge of what is shown. Compare its distances only between images of one shape and sets of one size.
    """
    with global_seed(0):
        net = nn.Sequential(
            nn.Conv2d(spec.channels, 32, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(32, 32, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(32, 16, 3, stride=1, padding=1),
            nn.LeakyReLU(0.2),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        for layer in net:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, 0.2)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    mean, std = (torch.tensor(each)[:, None, None] for each in (spec.mean, spec.std))

    def features(images: Tensor) -> Tensor:
        net.to(images.device)
        return _in_chunks(net, (images - mean.to(images.device)) / std.to(images.device))

    return features


def penultimate_features(classifier: nn.Module) -> Features:
    """What a classifier's last linear layer sees."""
    linear = [module for module in classifier.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ValueError(f"features come from before the last linear layer, but {type(classifier).__name__} has none")

    def features(images: Tensor) -> Tensor:
        seen: list[Tensor] = []
        hook = linear[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(1)))
        try:
            with evaluating(classifier):
                _in_chunks(classifier, images)
        finally:
            hook.remove()
        return torch.cat(seen)

    return features


@torch.no_grad()
def _in_chunks(net: nn.Module, images: Tensor) -> Tensor:
    return torch.cat([net(part) for part in images.split(CHUNK)])
