"""Stickers: where they may stick, what can be printed, and a search whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks.sticker import INKS, RP2, Sticker, non_printability, snapped, total_variation
from robustcnn.attacks.sticker_masks import graffiti, two_bars, whole_sign
from robustcnn.channel import Photo
from robustcnn.core.runtime import seeded

MASKS = {"bars": two_bars(12, 16), "graffiti": graffiti(12, 16), "whole": whole_sign(12, 16, sign=(0.1, 0.2, 0.9, 0.7))}
FREE = RP2(steps=60, views=4, printability=0, smoothness=0, snap=False)


def as_it_is(images: Tensor, *, generator: torch.Generator) -> Tensor:
    return images


class Weighing(nn.Module):
    """Three classes; the last two answer to opposite weights on the pixels, the first to none."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Small, or the loss would round to 0 before all pixels are where they belong.
        self.weight = nn.Parameter(0.05 * torch.randn(channels, 12, 16, generator=seeded(0)))

    def forward(self, images: Tensor) -> Tensor:
        score = (images * self.weight).sum((1, 2, 3)) - 0.5 * self.weight.sum()
        return torch.stack([torch.zeros_like(score), score, -score], 1)


@pytest.fixture
def signs() -> Tensor:
    return torch.rand(3, 3, 12, 16, generator=seeded(1))


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_outside_the_mask_every_bit_is_as_it_was(mask: Tensor, signs: Tensor) -> None:
    sticker = replace(FREE, steps=3)(Weighing(3), signs, mask, target=1, channel=Photo())
    outside = (mask == 0).expand_as(signs)
    assert torch.equal(sticker.on(signs)[outside], signs[outside])
    assert not torch.equal(sticker.on(signs)[~outside], signs[~outside])


@pytest.mark.parametrize("target", [1, 2])
def test_on_a_linear_model_it_is_the_known_worst_sticker(target: int, signs: Tensor) -> None:
    model, mask = Weighing(3), MASKS["bars"]
    sticker = FREE(model, signs, mask, target=target, channel=as_it_is)
    wanted = ((model.weight > 0) == (target == 1)).float()
    covered = mask.bool().expand(1, 3, -1, -1)
    torch.testing.assert_close(sticker.colours[covered], wanted[None][covered])


def test_with_black_and_white_alone_it_is_black_where_the_model_minds_white() -> None:
    model, mask = Weighing(1), MASKS["bars"]
    grey = torch.full((1, 1, 12, 16), 0.5)
    search = RP2(steps=60, views=2, smoothness=0, palette=((0.0,), (1.0,)))
    sticker = search(model, grey, mask, target=1, channel=as_it_is)
    assert torch.equal(sticker.on(grey), torch.where(mask.bool(), (model.weight > 0).float(), grey))
    assert sticker.history[-1].success == 1
    assert sticker.history[-1].loss < sticker.history[0].loss


def test_a_snapped_sticker_holds_nothing_but_ink(signs: Tensor) -> None:
    sticker = RP2(steps=5, views=4)(Weighing(3), signs, MASKS["whole"], target=1, channel=Photo())
    inks = torch.tensor(INKS)
    assert non_printability(sticker.colours, inks).max() == 0
    assert {tuple(colour) for colour in sticker.colours[0].flatten(1).T.tolist()} <= {
        tuple(ink) for ink in inks.tolist()
    }


def test_weight_on_printability_brings_colours_to_the_palette() -> None:
    grey, palette = torch.full((1, 1, 12, 16), 0.4), ((0.0,), (1.0,))
    strict = RP2(steps=60, views=2, smoothness=0, printability=50, palette=palette, snap=False)
    sticker = strict(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), grey, MASKS["bars"], target=1, channel=as_it_is)
    assert non_printability(sticker.colours, torch.tensor(palette))[MASKS["bars"][:, 0].bool()].mean() < 0.01


def test_printability_is_the_product_of_the_distances() -> None:
    palette = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0]])
    colours = torch.tensor([[0.5, 0.5, 0.5], [1, 0, 0], [0, 1, 0]]).T.view(1, 3, 1, 3)
    expected = [0.75 * 0.75**0.5, 0.0, 1.0 * 2**0.5 * 2**0.5]
    assert non_printability(colours, palette).flatten().tolist() == pytest.approx(expected)
    assert snapped(torch.full((1, 3, 1, 1), 0.9), palette).flatten().tolist() == [1, 1, 1]


def test_variation_counts_edges_inside_the_mask() -> None:
    picture, everywhere = torch.zeros(1, 3, 4, 5), torch.ones(1, 1, 4, 5)
    assert total_variation(picture, everywhere) == 0
    picture[..., 2:] = 0.5
    assert total_variation(picture, everywhere).item() == pytest.approx(4 * 3 * 0.5)
    everywhere[..., 2:] = 0
    assert total_variation(picture, everywhere) == 0


def test_one_seed_gives_one_sticker_and_leaves_the_model_alone(signs: Tensor) -> None:
    model = Weighing(3).train()
    before, random_before = model.weight.clone(), torch.get_rng_state()
    search = RP2(steps=3, views=4, snap=False)
    first, again, other = (
        search(model, signs, MASKS["bars"], target=1, channel=Photo(), generator=seeded(seed)).colours
        for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(model.weight, before)
    assert model.training
    assert model.weight.requires_grad
    assert model.weight.grad is None
    assert torch.equal(torch.get_rng_state(), random_before)


def test_a_poster_that_has_to_stay_close_stays_closer(signs: Tensor) -> None:
    free, close = (
        replace(FREE, closeness=weight)(Weighing(3), signs[:1], MASKS["whole"], target=1, channel=as_it_is)
        for weight in (0.0, 1e4)
    )
    far, near = ((each.on(signs[:1]) - signs[:1]).square().mean() for each in (free, close))
    assert near < far / 2


def test_bars_leave_the_lettering_free_and_all_masks_keep_to_the_sign() -> None:
    bars = two_bars(40, 40)
    assert bars[..., 15:25, :].sum() == 0
    assert torch.equal(bars, bars.flip(2))
    assert torch.equal(bars, bars.flip(3))
    for draw in (two_bars, graffiti, whole_sign):
        part = draw(40, 40, sign=(0.5, 0.0, 1.0, 0.5))
        assert part.any()
        assert part[..., :20].sum() == part[..., 20:, :].sum() == 0
    assert not torch.equal(graffiti(40, 40, seed=0), graffiti(40, 40, seed=1))


def test_a_sticker_of_soft_edge_mixes_there() -> None:
    sticker = Sticker(colours=torch.ones(1, 3, 2, 2), mask=torch.full((1, 1, 2, 2), 0.25))
    torch.testing.assert_close(sticker.on(torch.zeros(2, 3, 2, 2)), torch.full((2, 3, 2, 2), 0.25))


def test_what_cannot_be_is_refused(signs: Tensor) -> None:
    search, model, mask = RP2(steps=1), Weighing(3), MASKS["bars"]
    with pytest.raises(ValueError, match=r"signs must be .* got \(3, 3, 12, 16\) and \(1, 12, 16\)"):
        search(model, signs, mask[0], target=1, channel=as_it_is)
    with pytest.raises(ValueError, match=r"mask must lie in .* and cover something"):
        search(model, signs, 0 * mask, target=1, channel=as_it_is)
    with pytest.raises(ValueError, match="palette must have one value for each of the 3 channels"):
        replace(search, palette=((0.0,),))(model, signs, mask, target=1, channel=as_it_is)
    with pytest.raises(ValueError, match="steps and views must be at least 1, got 0 and 48"):
        RP2(steps=0)
    with pytest.raises(ValueError, match="smoothness must not be negative, got -1"):
        RP2(smoothness=-1)
    with pytest.raises(ValueError, match="palette must hold at least one colour"):
        RP2(palette=())
    with pytest.raises(ValueError, match="sign must be left, top, right, bottom"):
        two_bars(8, 8, sign=(0.5, 0, 0.5, 1))
