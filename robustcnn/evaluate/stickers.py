"""How often a sticker works, on views that its search has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustcnn.attacks.sticker import Sticker
from robustcnn.channel import Channel
from robustcnn.core.results import Share
from robustcnn.core.runtime import evaluating, seeded


@dataclass(frozen=True, kw_only=True, slots=True)
class StickerScore:
    """The same views without and with the sticker."""

    clean: Share
    """Views in which the sign without it is recognised."""
    targeted: Share
    """Of these, with the sticker: taken for the target."""
    fooled: Share
    """Of these, with the sticker: taken for any other sign."""


@torch.no_grad()
def sticker_score(
    model: nn.Module,
    sticker: Sticker,
    signs: Tensor,
    *,
    label: int,
    target: int,
    channel: Channel,
    views: int = 500,
    seed: int = 1,
    batch_size: int = 250,
) -> StickerScore:
    """Each of the signs (K, C, H, W) in `views` / K of the views; give a seed that the search did not have."""
    bare: list[Tensor] = []
    stuck: list[Tensor] = []
    chosen = torch.arange(views) % len(signs)
    with evaluating(model):
        for number, rows in enumerate(chosen.split(batch_size)):
            for shown, answers in ((signs, bare), (sticker.on(signs), stuck)):
                generator = seeded(seed + 7919 * number, signs.device)
                answers.append(model(channel(shown[rows], generator=generator)).argmax(1))
    recognised, answer = torch.cat(bare) == label, torch.cat(stuck)
    count = int(recognised.sum())
    return StickerScore(
        clean=Share.of(count, views),
        targeted=Share.of(int((recognised & (answer == target)).sum()), count),
        fooled=Share.of(int((recognised & (answer != label)).sum()), count),
    )
