"""DCGAN (Radford et al. 2016): a generator, a discriminator, and the classifier that its trunk becomes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from robustcnn.core.runtime import evaluating
from robustcnn.core.spec import ImageSpec
from robustcnn.models.init import initialise
from robustcnn.models.layers import scaled
from robustcnn.models.model_config import ModelConfig
from robustcnn.models.pixel import PixelModel
from robustcnn.models.sizes import flat_features

SMALLEST = 8
"""Pixels a side that can be halved once: both networks stop at maps of 4 to 7."""
WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True, kw_only=True, slots=True)
class DcganConfig:
    """Both networks of a DCGAN."""

    width: float = 1.0
    """Multiplies the channels: 64 at half the image's size, twice as many at each further half, at most 512."""
    latent: int = 100
    """Random numbers that the generator makes an image of."""
    spectral_norm: bool = False
    """Divide each layer of the discriminator by its largest singular value (Miyato et al. 2018), beside batch norm."""

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise ValueError(f"width multiplies the channels and must be positive, got {self.width:g}")
        if self.width > 100 or self.latent > 1_000_000:
            raise ValueError(
                f"width must be at most 100 and latent at most 1,000,000, got {self.width:g} and {self.latent:,}"
            )
        if self.latent < 1:
            raise ValueError(f"latent must be at least 1 number, got {self.latent}")


class Generator(nn.Module):
    """Images (N, C, H, W) in [0, 1] of latent vectors (N, latent)."""

    def __init__(self, spec: ImageSpec, config: DcganConfig) -> None:
        super().__init__()
        self.spec, self.config = spec, config
        self.net = _generating_layers(spec, config)
        _initialise(self.net)

    def forward(self, latents: Tensor) -> Tensor:
        if latents.ndim != 2 or latents.shape[1] != self.config.latent:
            raise ValueError(f"latents must be (N, {self.config.latent}), got {tuple(latents.shape)}")
        images: Tensor = self.net(latents)
        return (images + 1) / 2


def discriminator(spec: ImageSpec, config: DcganConfig) -> PixelModel:
    """One logit (N, 1) an image, positive for real; fresh weights from torch's global generator."""
    net = dcgan(spec, 1, width=config.width)
    _initialise(net)
    for layer in list(net.modules()) if config.spectral_norm else ():
        if isinstance(layer, WEIGHTED):
            spectral_norm(layer)
    return PixelModel(net, spec, ModelConfig(name="dcgan", width=config.width))


def dcgan(spec: ImageSpec, outputs: int, *, width: float = 1.0) -> nn.Sequential:
    """The discriminator's trunk and one linear layer: strides for pooling, leaky ReLU, no batch norm in the first."""
    channels = [spec.channels, *_channels(spec, width)]
    layers = [
        nn.Sequential(
            # A bias only where no normalisation would undo it.
            nn.Conv2d(before, after, 4, stride=2, padding=1, bias=not stage),
            *([nn.BatchNorm2d(after)] if stage else []),
            nn.LeakyReLU(0.2),
        )
        for stage, (before, after) in enumerate(pairwise(channels))
    ]
    flat = flat_features(nn.Sequential(*layers), spec)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, outputs))


def classifier_from(trained: PixelModel, spec: ImageSpec) -> PixelModel:
    """The classifier of `spec`'s classes on the trunk of a trained discriminator, with a fresh linear head.

    Pixels are normalised as the trunk has learnt to see them, not by the statistics of `spec`.
    """
    _check_fits(trained, spec)
    seen_as = replace(spec, mean=trained.spec.mean, std=trained.spec.std)
    net = dcgan(spec, spec.num_classes, width=trained.config.width)
    initialise(net, None)
    head = f"{len(net) - 1}."
    trunk = {name: tensor for name, tensor in plain_weights(trained.net).items() if not name.startswith(head)}
    net.load_state_dict(net.state_dict() | trunk)
    model = PixelModel(net, seen_as, ModelConfig(name="dcgan", width=trained.config.width))
    return model.to(trained.mean.device)


@torch.no_grad()
def plain_weights(net: nn.Module) -> dict[str, Tensor]:
    """Its state as it computes: spectral norms are worked into the weights."""
    state = {name: tensor for name, tensor in net.state_dict().items() if ".parametrizations." not in name}
    # In evaluation mode, where looking at a weight does not move its norm's estimate.
    with evaluating(net):
        weights = {name: module.weight.clone() for name, module in net.named_modules() if isinstance(module, WEIGHTED)}
    return state | {f"{name}.weight": weight for name, weight in weights.items()}


def halvings(spec: ImageSpec) -> int:
    """How often images can be halved until maps of 4 to 7 pixels on the shorter side are left."""
    count = (min(spec.height, spec.width) // 4).bit_length() - 1
    if count < 1:
        raise ValueError(
            f"one halving to at least 4 pixels a side does not fit into {spec.height}x{spec.width} pixels "
            f"(enlarge the images: --data.size {SMALLEST} or more)"
        )
    return count


def _channels(spec: ImageSpec, width: float) -> list[int]:
    return [scaled(64 * min(2**stage, 8), width) for stage in range(halvings(spec))]


def _generating_layers(spec: ImageSpec, config: DcganConfig) -> nn.Sequential:
    factor = 2 ** halvings(spec)
    if spec.height % factor or spec.width % factor:
        raise ValueError(
            f"the generator doubles a small map {halvings(spec)} times: the sides must be multiples of {factor}, got "
            f"{spec.height}x{spec.width} (--data.size 28, 32, 48 or 64)"
        )
    *channels, last = [*reversed(_channels(spec, config.width)), spec.channels]
    height, width = spec.height // factor, spec.width // factor
    # The transposed convolution of a single pixel is a matrix product, which is three times as fast when called so.
    layers: list[nn.Module] = [
        nn.Linear(config.latent, channels[0] * height * width, bias=False),
        nn.Unflatten(1, (channels[0], height, width)),
        nn.BatchNorm2d(channels[0]),
        nn.ReLU(),
    ]
    for before, after in pairwise(channels):
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(channels[-1], last, 4, 2, 1), nn.Tanh())


@torch.no_grad()
def _initialise(net: nn.Module) -> None:
    """Weights from N(0, 0.02), those of batch norm from N(1, 0.02), no biases."""
    for module in net.modules():
        if isinstance(module, (*WEIGHTED, nn.BatchNorm2d)):
            module.weight.normal_(1.0 if isinstance(module, nn.BatchNorm2d) else 0.0, 0.02)
            if module.bias is not None:
                module.bias.zero_()


def _check_fits(trained: PixelModel, spec: ImageSpec) -> None:
    ours = trained.spec
    if trained.config.name != "dcgan":
        raise ValueError(f"a dcgan discriminator is needed, got a {trained.config.name}")
    if ours.channels != spec.channels:
        cure = "pass --data.grey" if ours.channels == 1 else "pre-train on grey pictures: pretrain --data.grey"
        raise ValueError(f"the discriminator was made for {_say(ours)}, the data are {_say(spec)} ({cure})")
    if ours.shape != spec.shape:
        cure = f"pass --data.size {ours.height}" if ours.height == ours.width else "give the data its size"
        raise ValueError(
            f"the discriminator was made for {_say(ours)}, the data are {_say(spec)} ({cure}, or pre-train on these)"
        )


def _say(spec: ImageSpec) -> str:
    return f"{spec.height}x{spec.width} {'grey' if spec.channels == 1 else 'colour'} pictures"
