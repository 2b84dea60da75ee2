"""What each field of the gradient attacks does to a step, on models whose answer is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from victims import Linear

from robustcnn.attacks.ascent import GradientAttack
from robustcnn.attacks.closest import Closest
from robustcnn.attacks.gradient import MIFGSM, PGD
from robustcnn.core.threat import ThreatModel

LABEL = torch.zeros(1, dtype=torch.int64)


class Counted(nn.Module):
    """The margin grows with every pixel; it counts how many images it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = 0

    def forward(self, images: Tensor) -> Tensor:
        self.shown += len(images)
        pixels = images.flatten(1).sum(1, keepdim=True)
        return torch.cat([torch.full_like(pixels, 100.0), pixels], dim=1)


class Ridge(nn.Module):
    """Best for the attacker where the one pixel is 0.65; label 0 is never lost."""

    def forward(self, images: Tensor) -> Tensor:
        pixel = images.flatten(1)
        return torch.cat([torch.full_like(pixel, 10.0), -10 * (pixel - 0.65).square()], dim=1)


def looks(attack: GradientAttack) -> int:
    model = Counted()
    attack(model, torch.full((1, 1, 2, 2), 0.5), LABEL, ThreatModel(eps=0.1))
    return model.shown


def test_the_schedules_are_those_of_their_names() -> None:
    lengths = {name: [PGD(steps=4, schedule=name).step_length(step) for step in range(4)] for name in SCHEDULES}
    assert lengths["constant"] == [1, 1, 1, 1]
    assert lengths["linear"] == pytest.approx([1, 0.75, 0.5, 0.25])
    assert lengths["cosine"] == pytest.approx([1, 0.853553, 0.5, 0.146447], abs=1e-6)


SCHEDULES = ("constant", "linear", "cosine")


def test_a_mean_gradient_takes_as_many_looks_as_it_has_draws() -> None:
    assert looks(PGD(steps=3, eot=4)) - looks(PGD(steps=3)) == 9


def test_every_restart_takes_all_its_steps() -> None:
    assert looks(PGD(steps=5, restarts=3)) - looks(PGD(steps=5, restarts=2)) >= 5


def test_every_step_comes_back_into_the_ball() -> None:
    image = torch.full((1, 1, 1, 1), 0.5)
    attack = PGD(steps=2, step_size=0.3, random_start=False, loss="margin")
    # Left outside after the first step, it would turn round at the ridge and end where it began.
    found = attack(Ridge(), image, LABEL, ThreatModel(eps=0.1))
    assert found.item() == pytest.approx(0.6)


@pytest.mark.parametrize(("width", "moved"), [(0, 1), (3, 9)])
def test_a_blurred_gradient_reaches_the_neighbours(width: int, moved: int) -> None:
    weight = torch.zeros(2, 8, 8)
    weight[1, 4, 4] = 1.0
    model = Linear(weight.flatten(1), torch.tensor([10.0, 0.0]))
    image = torch.full((1, 1, 8, 8), 0.5)
    found = MIFGSM(steps=1, translation=width)(model, image, LABEL, ThreatModel(eps=0.1))
    assert int((found != image).sum()) == moved


def test_the_final_search_pulls_a_find_to_the_boundary() -> None:
    model = Linear(torch.tensor([[0.0], [1.0]]), torch.tensor([0.5, 0.0]))
    image = torch.full((1, 1), 0.2)
    closest = Closest(model, image, LABEL, ThreatModel(eps=1.0))
    far = torch.full((1, 1), 0.9)
    closest.offer(far, model(far))
    closest.refine(5)
    assert closest.best.item() == pytest.approx(0.5, abs=0.01)
