"""Tiny pictures and networks that the tests of pre-training share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustcnn.core.runtime import global_seed, seeded
from robustcnn.data.resident import ResidentDataset, spec_of
from robustcnn.models import PixelModel
from robustcnn.models.dcgan import DcganConfig, Generator, discriminator

TINY = DcganConfig(width=0.125, latent=8)


def blobs(count: int = 96, *, channels: int = 1) -> ResidentDataset:
    """Pictures of 16x16 pixels with one bright square somewhere; a seventh of the labels is 1."""
    draws = seeded(0)
    images = torch.randint(0, 60, (count, channels, 16, 16), dtype=torch.uint8, generator=draws)
    for image, (row, column) in zip(images, torch.randint(0, 11, (count, 2), generator=draws).tolist(), strict=True):
        image[:, row : row + 6, column : column + 6] += 180
    labels = (torch.arange(count) % 7 == 0).long()
    return ResidentDataset(images=images, labels=labels, spec=spec_of(images, ("no", "yes")), name="blobs")


def networks(data: ResidentDataset, config: DcganConfig = TINY) -> tuple[Generator, PixelModel]:
    with global_seed(0):
        return Generator(data.spec, config), discriminator(data.spec, config)


def weights(*nets: nn.Module) -> list[Tensor]:
    return [tensor.clone() for net in nets for tensor in net.state_dict().values()]


def same(ones: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))
