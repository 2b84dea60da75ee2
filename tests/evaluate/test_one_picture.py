"""A picture before and after: closed forms of a linear model in both ranges of eps, and what saving leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from onlooker import MEAN, SPEC, STD, linear, weights
from torch import Tensor

from robustcnn.attacks.targets import Towards
from robustcnn.core.threat import ThreatModel
from robustcnn.data.sets.picture import through_jpeg
from robustcnn.evaluate import attack_named
from robustcnn.evaluate.one_picture import Game, as_saved

PIXELS = torch.tensor(STD)[:, None, None]


def grey(level: float) -> Tensor:
    return torch.full((1, 3, 8, 8), level)


def game(level: float = 0.6, *, label: int = 1, **options: object) -> Game:
    return Game(model=linear(), image=grey(level), classes=SPEC.classes, label=label, **options)


def lead(image: Tensor) -> float:
    """Of `bright` over `dark`, by hand."""
    normal = (image[0] - torch.tensor(MEAN)[:, None, None]) / PIXELS
    return float((normal * weights()).sum() - 0.2)


@pytest.mark.parametrize("scale", [None, STD])
def test_fgsm_takes_from_a_linear_model_eps_times_the_weights_of_its_range(scale: tuple[float, ...] | None) -> None:
    adversarial, attempt = game(scale=scale).play(attack_named("fgsm"), ThreatModel(eps=0.1))
    steepness = (weights() / PIXELS if scale is None else weights()).abs().sum()
    assert lead(grey(0.6)) - lead(adversarial) == pytest.approx(0.1 * float(steepness), rel=1e-4)
    assert attempt.length == pytest.approx(0.1 if scale is None else 0.1 * max(STD), rel=1e-4)


@pytest.mark.parametrize("scale", [None, STD])
@pytest.mark.parametrize("attack", ["fgsm", "pgd(steps=5)", "apgd(steps=10)"])
def test_the_smallest_eps_is_the_lead_over_the_weights(scale: tuple[float, ...] | None, attack: str) -> None:
    found = game(scale=scale).smallest(attack_named(attack), ThreatModel(eps=1.0))
    steepness = (weights() / PIXELS if scale is None else weights()).abs().sum()
    assert found == pytest.approx(lead(grey(0.6)) / float(steepness), rel=0.005)


def test_where_no_eps_is_enough_there_is_no_smallest() -> None:
    assert game().smallest(attack_named("fgsm"), ThreatModel(eps=0.001)) is None


def test_a_ball_in_the_models_range_is_wider_in_channels_of_larger_deviation() -> None:
    adversarial, _ = game(scale=STD).play(attack_named("fgsm"), ThreatModel(eps=0.1))
    change = (adversarial - grey(0.6)).abs().amax((0, 2, 3))
    torch.testing.assert_close(change, 0.1 * torch.tensor(STD))


def test_pixels_stay_pixels_in_either_range() -> None:
    for scale in (None, STD):
        adversarial, _ = game(0.98, label=0, scale=scale).play(attack_named("fgsm"), ThreatModel(eps=0.2))
        assert adversarial.min() >= 0
        assert adversarial.max() <= 1


@pytest.mark.parametrize("attack", ["fgsm", "pgd(steps=10)", "apgd(steps=10)", "deepfool"])
def test_any_attack_can_be_led_to_a_class(attack: str) -> None:
    _, attempt = game(target=2).play(attack_named(attack), ThreatModel(eps=0.5))
    assert attempt.answers[0].name == "reddish"
    assert attempt.reached
    _, too_near = game(target=2).play(attack_named(attack), ThreatModel(eps=0.01))
    assert not too_near.reached


def test_leaving_any_other_class_is_reaching_the_target() -> None:
    logits = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    towards = Towards(torch.nn.Identity(), 4)
    assert torch.equal(towards(logits).argmax(1) == 1, logits.argmax(1) == 4)


def test_the_way_to_a_far_target_is_not_rounded_away() -> None:
    images = torch.zeros(1, 3, requires_grad=True)
    towards = Towards(torch.nn.Identity(), 2)
    far = images + torch.tensor([[90.0, 40.0, -60.0]])
    (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(towards(far), torch.tensor([0])), images)
    assert slope[0, 0] < 0 < slope[0, 2]


def on_the_brink(lead_of: float) -> Game:
    """A model that says `bright` of the picture 0.6 by so much, measured in pixels of change."""
    model = linear()
    layer = next(module for module in model.modules() if isinstance(module, torch.nn.Linear))
    with torch.no_grad():
        steepness = (weights() / PIXELS).sum()
        layer.bias[1] -= lead(grey(153 / 255)) - lead_of * float(steepness)
    return replace(game(153 / 255), model=model)


def test_half_a_grey_level_is_rounded_away_and_a_whole_one_is_not() -> None:
    near = on_the_brink(0.2 / 255)
    for eps, kept in ((0.4 / 255, False), (1 / 255, True)):
        _, attempt = near.play(attack_named("fgsm"), ThreatModel(eps=eps))
        assert attempt.reached
        assert attempt.survives["PNG"] is kept


def test_what_was_not_reached_does_not_survive() -> None:
    # 0.6/255 is rounded up to 1/255, which would be enough.
    _, attempt = on_the_brink(0.8 / 255).play(attack_named("fgsm"), ThreatModel(eps=0.6 / 255))
    assert not attempt.reached
    assert not any(attempt.survives.values())


def test_saved_pictures_are_whole_levels_and_jpegs_are_pillows() -> None:
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    saved = dict(as_saved(image))
    assert list(saved) == ["PNG", "JPEG 95", "JPEG 75"]
    for each in saved.values():
        torch.testing.assert_close(each * 255, (each * 255).round(), atol=1e-4, rtol=0)
    assert torch.equal(saved["JPEG 75"], through_jpeg(image, 75))
    assert (saved["JPEG 75"] - image).abs().mean() > (saved["JPEG 95"] - image).abs().mean() > 0.002


def test_answers_are_the_likeliest_first() -> None:
    answers = game().answers(grey(0.6))
    assert [answer.index for answer in answers] == linear()(grey(0.6))[0].argsort(descending=True).tolist()
    assert sum(answer.confidence for answer in answers) == pytest.approx(1)


def test_impossible_aims_are_refused() -> None:
    with pytest.raises(ValueError, match=r"target must be another class than the one attacked, 'bright'"):
        game(target=1)
    with pytest.raises(ValueError, match=r"label must lie in 0\.\.2, got 3"):
        game(label=3)
