"""The Square attack: its queries, its geometry and its strength."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks.base import is_fooled
from robustcnn.attacks.black_box import BlackBox
from robustcnn.attacks.noise import CornerNoise
from robustcnn.attacks.search_state import SearchState
from robustcnn.attacks.square import Square, _place
from robustcnn.core.norms import NormName
from robustcnn.core.norms.l1 import L1
from robustcnn.core.norms.l2 import L2
from robustcnn.core.norms.linf import Stripes
from robustcnn.core.norms.saddles import Saddles
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel

if TYPE_CHECKING:
    from tests.attacks.conftest import Trained

GREY = torch.full((64, 3, 10, 12), 0.5)


class Counting(nn.Module):
    """Counts the images it is shown."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.shown = model, 0

    def forward(self, images: Tensor) -> Tensor:
        self.shown += len(images)
        return self.model(images)


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.2), ("l2", 0.8), ("l1", 6.0)])
def test_with_the_same_queries_it_beats_noise(trained: Trained, norm: NormName, eps: float) -> None:
    model, images, labels = trained
    threat = ThreatModel(norm=norm, eps=eps)
    squares = is_fooled(model(Square(queries=150)(model, images, labels, threat)), labels).float().mean()
    noise = is_fooled(model(CornerNoise(draws=150)(model, images, labels, threat)), labels).float().mean()
    assert squares > noise + 0.2


def test_it_asks_no_more_than_its_queries_and_only_survivors(trained: Trained) -> None:
    victim = Counting(trained.model)
    images, labels = trained.images[:32], trained.model(trained.images[:32]).argmax(1)
    Square(queries=50)(victim, images, labels, ThreatModel(eps=1e-6))
    # One image to count classes, one look at the clean batch, then 50 queries: nobody falls at such an eps.
    assert victim.shown == 1 + 32 + 50 * 32
    victim.shown = 0
    Square(queries=50)(victim, images, labels, ThreatModel(eps=0.5))
    assert victim.shown < 25 * 32


def test_the_window_shrinks_by_the_published_schedule() -> None:
    images = torch.zeros(1, 1, 32, 32)
    area = [
        Square(queries=10_000)._side(query, images, Stripes()) ** 2 / 32**2 for query in (1, 12, 52, 202, 502, 9000)
    ]
    expected = [0.8 / 2**halvings for halvings in (0, 1, 2, 3, 4, 9)]
    torch.testing.assert_close(torch.tensor(area), torch.tensor(expected), rtol=0.1, atol=2e-3)
    assert Square(queries=1000)._side(7, images, Stripes()) == Square(queries=10_000)._side(61, images, Stripes())


def test_the_start_is_vertical_stripes_of_eps() -> None:
    change = Stripes().start(GREY, 0.1, seeded(0)) - GREY
    torch.testing.assert_close(change.abs(), torch.full_like(change, 0.1))
    assert torch.equal(change, change[:, :, :1].expand_as(change))
    assert (change[:, :, 0] > 0).float().mean().sub(0.5).abs() < 0.05


def test_a_window_is_a_square_of_one_colour_and_lies_anywhere() -> None:
    grey = GREY[:, :, 2:6, 7:11]
    window = Stripes().change(grey, grey, 0.1, 4, seeded(0)) - grey
    assert (window.abs() - 0.1).abs().max() < 1e-6
    assert (window.flatten(2).std(2) < 1e-6).all()
    assert (window[:, :, 0, 0] > 0).float().mean(0).sub(0.5).abs().max() < 0.2
    corners = torch.rand(500, 2, generator=seeded(0)).tolist()
    places = {_place(corner, 4, GREY) for corner in corners}
    assert {rows for rows, _ in places} == {(top, top + 4) for top in range(7)}
    assert {columns for _, columns in places} == {(left, left + 4) for left in range(9)}


def test_every_channel_of_a_window_has_a_sign_of_its_own() -> None:
    grey = torch.full((400, 3, 4, 4), 0.5)
    up = (Stripes().change(grey, grey, 0.1, 4, seeded(0)) > grey)[:, :, 0, 0]
    # Eight combinations of three signs, as often as chance has it.
    assert torch.bincount(up.int() @ torch.tensor([1, 2, 4], dtype=torch.int32), minlength=8).min() > 25


def test_the_pyramid_is_the_sum_of_its_published_rings() -> None:
    # Equation 2 of the paper for 5 x 5: the middle has 1 + 1/4 + 1/9, the next ring 1/4 + 1/9, the edge 1/9.
    pyramid = L2.windows._bump(5, 5)
    assert pyramid[2, 2] == pytest.approx(1 + 1 / 4 + 1 / 9)
    assert pyramid[1, 3] == pytest.approx(1 / 4 + 1 / 9)
    assert pyramid[0, 2] == pytest.approx(1 / 9)


@pytest.mark.parametrize("windows", [L2.windows, L1.windows], ids=["l2", "l1"])
def test_both_halves_of_a_saddle_weigh_the_same(windows: Saddles) -> None:
    for side in (3, 4, 5, 7):
        upper, lower = windows.saddle(side).split([side // 2, side - side // 2])
        halves = windows._mass(upper, (0, 1)), windows._mass(lower, (0, 1))
        torch.testing.assert_close(halves[0], halves[1])
        assert float(sum(halves)) == pytest.approx(1)


def test_tiles_of_the_start_lie_and_stand() -> None:
    change = L2.windows.start(torch.full((200, 1, 10, 10), 0.5), 0.5, seeded(0)) - 0.5
    tile = change[:, 0, :2, :2]
    standing = (tile[:, 0].sum(1).abs() > 1e-6).float().mean()
    assert 0.4 < standing < 0.6


def test_l2_steps_stay_on_the_sphere_and_change_two_windows_at_most() -> None:
    generator = seeded(0)
    best = L2.windows.start(GREY, 0.5, generator)
    threat = ThreatModel(norm="l2", eps=0.5)
    torch.testing.assert_close(threat.distance(best, GREY), torch.full((64,), 0.5))
    after = L2.windows.change(GREY, best, 0.5, 3, generator)
    torch.testing.assert_close(threat.distance(after, GREY), torch.full((64,), 0.5))
    # What is outside both windows keeps its direction: it is only rescaled.
    same = ((after - GREY) / (best - GREY).where(best != GREY, torch.nan)).flatten(1)
    kept = ((same - same.nanmedian(1, keepdim=True).values).abs() < 1e-3).sum(1)
    assert (kept >= (best != GREY).flatten(1).sum(1) - 2 * 3 * 9).all()
    assert (after - best).flatten(1).abs().amax(1).min() > 1e-3


def test_any_function_is_a_victim(trained: Trained) -> None:
    victim = BlackBox(lambda images: (10 * trained.model(images)).round().tolist())
    images, labels = trained.images[:32], trained.labels[:32]
    attacked = Square(queries=100)(victim, images, labels, ThreatModel(eps=0.25))
    assert is_fooled(victim(attacked), labels).float().mean() > 0.5


def test_an_endless_ball_is_refused(trained: Trained) -> None:
    with pytest.raises(ValueError, match="Square needs a finite eps"):
        Square()(trained.model, trained.images, trained.labels, ThreatModel(norm="l1", eps=math.inf))


def test_a_window_that_helps_is_all_that_changes_in_what_is_held() -> None:
    images = torch.rand(3, 2, 6, 6, generator=seeded(0))
    state = SearchState(nn.Identity(), images, torch.zeros(3, dtype=torch.int64))
    loss, logits = torch.tensor([1.0, -torch.inf, 1.0]), torch.tensor([[1.0, 0.0]] * 3)
    place = ((1, 3), (4, 6))
    assert state.update(torch.full((3, 2, 2, 2), 2.0), loss, logits, place=place).tolist() == [True, False, True]
    expected = images.clone()
    expected[[0, 2], :, 1:3, 4:6] = 2.0
    assert torch.equal(state.best_found, expected)
