"""Transfer between models whose directions are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks import APGD, DDN, FAB, FGSM, PGD, Attack, AutoAttack, Square, WorstOf
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset, spec_of
from robustcnn.evaluate.transferability import transfer_matrix


class Left(nn.Module):
    """Class 1 when the left half is bright enough; `side` 1 looks at the right half."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: Tensor) -> Tensor:
        half = images.chunk(2, dim=3)[self.side].mean((1, 2, 3))
        return torch.stack([torch.full_like(half, 0.5), half], 1)


@pytest.fixture
def data() -> ResidentDataset:
    """Pictures whose two halves agree, at 0.4 (class 0) and 0.6 (class 1)."""
    labels = torch.arange(10) % 2
    images = (0.4 + 0.2 * labels.float())[:, None, None, None].expand(10, 1, 4, 4).contiguous()
    return ResidentDataset(images=images, labels=labels, spec=spec_of(images, ("dark", "bright")))


def test_examples_transfer_where_models_look_at_the_same_place_only(data: ResidentDataset) -> None:
    models = {"left": Left(0), "right": Left(1)}
    scores = transfer_matrix(models, data, FGSM(), ThreatModel(eps=0.15))
    found = {(each.source, each.target): each.accuracy.value for each in scores}
    assert found == {
        ("left", "left"): 0.0,
        ("left", "right"): 1.0,
        ("right", "left"): 1.0,
        ("right", "right"): 0.0,
    }


def test_only_what_the_target_gets_right_counts(data: ResidentDataset) -> None:
    wrong = ResidentDataset(images=data.images, labels=1 - data.labels, spec=data.spec)
    (score,) = transfer_matrix({"left": Left(0)}, wrong, FGSM(), ThreatModel(eps=0.15))
    assert (score.accuracy.count, score.accuracy.value) == (0, None)


def test_no_model_is_refused(data: ResidentDataset) -> None:
    with pytest.raises(ValueError, match="models must hold at least one"):
        transfer_matrix({}, data, FGSM(), ThreatModel())


@pytest.mark.parametrize(
    "attack", [PGD(stop=True), APGD(), AutoAttack(), WorstOf(attacks=(PGD(),)), Square(), FAB(), DDN()], ids=repr
)
def test_an_attack_that_stops_at_the_boundary_is_refused(attack: Attack, data: ResidentDataset) -> None:
    with pytest.raises(ValueError, match="examples that stop at the first success hardly transfer"):
        transfer_matrix({"left": Left(0)}, data, attack, ThreatModel())
