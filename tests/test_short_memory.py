"""Where memory runs out, attacks, evaluations and training go on with fewer images at a time, and end the same."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks import APGD, PGD, Attack, AutoAttack, Square, craft
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset
from robustcnn.evaluate import evaluate, predict
from robustcnn.models import ModelConfig, PixelModel
from robustcnn.train import Adversarial, FitConfig, Standard, Trades, fit
from robustcnn.train.settings import AnyObjective


class Room(nn.Module):
    """Passes on what it gets, as long as that is no more than `most` images."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.shown: list[int] = []

    def forward(self, maps: Tensor) -> Tensor:
        self.shown.append(len(maps))
        if len(maps) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 PiB")
        return maps


def network(spec: ImageSpec, *, most: int, dropout: float = 0.0) -> PixelModel:
    torch.manual_seed(0)
    units = spec.channels * spec.height * spec.width
    body = nn.Sequential(
        Room(most), nn.Flatten(), nn.Linear(units, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, spec.num_classes)
    )
    return PixelModel(body, spec, ModelConfig())


@pytest.mark.filterwarnings("ignore:AutoAttack's targeted DLR")
@pytest.mark.parametrize("attack", [PGD(steps=5), APGD(steps=5), Square(queries=40), AutoAttack()], ids=repr)
def test_an_attack_short_of_memory_finds_the_same(attack: Attack, tiny: ResidentDataset) -> None:
    part, threat = tiny.subset(24), ThreatModel(eps=0.1)
    pixels = part.images.float() / 255
    found = [craft(attack, network(tiny.spec, most=most).eval(), pixels, part.labels, threat) for most in (1000, 7)]
    torch.testing.assert_close(found[1], found[0], atol=1e-6, rtol=0)


def test_an_evaluation_short_of_memory_reports_the_same(tiny: ResidentDataset) -> None:
    reports = []
    for most in (1000, 7):
        model = network(tiny.spec, most=most).eval()
        assert len(predict(model, tiny)) == len(tiny)
        reports.append(evaluate(model, tiny, [PGD(steps=5)], [ThreatModel(eps=0.1)]))
    assert reports[0].threats[0].robust == reports[1].threats[0].robust


@pytest.mark.parametrize("objective", [Standard(), Adversarial(steps=2), Trades(steps=2)], ids=lambda each: each.name)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_training_short_of_memory_ends_at_the_same_weights(
    objective: AnyObjective, dropout: float, tiny: ResidentDataset
) -> None:
    train, validation = tiny.subset(torch.arange(40)), tiny.subset(torch.arange(40, 60))
    config = FitConfig(epochs=2, batch_size=32, objective=objective, awp=0.005, watch=8)
    weights = []
    for most in (1000, 9):
        model = network(tiny.spec, most=most, dropout=dropout)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            history = list(fit(model, train, validation, config, progress=False))
        assert any("memory is short" in str(each.message) for each in said) is (most == 9)
        assert len(history) == 2
        weights.append(model.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, atol=1e-5, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:memory is short")
def test_what_does_not_fit_one_by_one_is_said(tiny: ResidentDataset) -> None:
    model = network(tiny.spec, most=0)
    with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
        predict(model, tiny)
    with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
        list(fit(model, tiny, tiny, FitConfig(epochs=1), progress=False))
