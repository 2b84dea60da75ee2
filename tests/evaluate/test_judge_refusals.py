"""What cannot be judged is said at once, and in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from straight import Doing, Linear, balls, examples
from torch import Tensor, nn

from robustcnn.attacks import DDN, FGSM, PGD, AutoAttack, BlackBox, SpatialGrid, UniformNoise, Universal, WorstOf
from robustcnn.attacks.base import Attack
from robustcnn.attacks.bisection import Smallest
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset
from robustcnn.evaluate import evaluate


class Once(Linear):
    """Answers for all the images at once, and for single ones, but never for a batch."""

    def forward(self, images: Tensor) -> Tensor:
        assert len(images) in (1, 80)
        return super().forward(images)


@pytest.mark.parametrize(
    ("attacks", "threats", "message"),
    [
        ([], balls("linf"), "attacks must hold at least one, got none"),
        ([PGD()], [], "threats must hold at least one, got none"),
        ([PGD(), FGSM(), PGD(steps=40)], balls("linf"), r"attacks must differ, got PGD\(\) 2 times"),
        ([PGD()], balls("linf", 0.1, 0.2, 0.1), "threats must differ, got linf 0.1 2 times"),
        ([SpatialGrid()], balls("linf"), r"attacks must stay in the threat's ball, SpatialGrid.* \(judge it by"),
        ([lambda *_: None], balls("linf"), r"known by their repr, .* \(make it a frozen dataclass"),
        ([PGD()], [ThreatModel(bounds=(-1, 1))], r"bounds must be \(0, 1\), .* got \(-1, 1\)"),
        ([FGSM(), DDN()], [*balls("l2"), *balls("linf")], r"DDN\(\) in linf 16/255: DDN knows l2, got linf"),
        ([WorstOf(attacks=(PGD(), DDN()))], balls("l1"), r"WorstOf.* in l1 0.3: DDN knows l2, got l1"),
        ([Universal()], balls("linf"), r"Universal\(\) makes one perturbation for the images at hand.*fitted"),
        ([Smallest(attack=DDN())], balls("l1"), r"Smallest\(.*\) in l1 0.3: DDN knows l2, got l1"),
    ],
)
def test_attacks_and_threats_that_do_not_go_together_are_refused_before_any_work(
    attacks: list[Attack], threats: Sequence[ThreatModel], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(Once(), examples(), attacks, threats)


def test_a_model_without_slope_is_refused_by_name_of_the_attack() -> None:
    model, ball = BlackBox(lambda images: Linear()(images.float()).tolist()), balls("linf", 8 / 255)
    assert evaluate(model, examples(), [UniformNoise()], ball).clean.accuracy.hits == 72
    for attack in (PGD(), AutoAttack()):
        with pytest.raises(ValueError, match=r"in linf 8/255: .*cannot be differentiated .* \(Square, noise\)"):
            evaluate(model, examples(), [attack], ball)


def test_an_answer_of_another_shape_is_refused() -> None:
    short = Doing("short", lambda _model, images, _labels, _threat: images[1:])
    with pytest.raises(ValueError, match=r"short in linf 8/255: an attack must return images \(72, 1, 4, 4\), got"):
        evaluate(Linear(), examples(), [short], balls("linf", 8 / 255))


def test_other_wrong_arguments_are_refused() -> None:
    def refused(message: str, model: nn.Module, data: ResidentDataset, **options: Any) -> None:
        with pytest.raises(ValueError, match=message):
            evaluate(model, data, [FGSM()], balls("linf"), **options)

    data = examples()
    refused("grey holds no examples", Linear(), data.subset(0))
    refused(r"model must return logits \(80, 2\), one for each class of grey, got \(80, 16\)", nn.Flatten(), data)
    refused("block must be at least 1 image, got 0", Linear(), data, block=0)
    refused("batch_size must be at least 1 or 'auto', got 0", Linear(), data, batch_size=0)
    refused("precision must be one of fp32, bf16, fp16, got 'fp8'", Linear(), data, precision="fp8")
