"""The universal perturbation: the same for all, strong on images it has not seen."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks.base import is_fooled
from robustcnn.attacks.noise import CornerNoise
from robustcnn.attacks.universal import Universal
from robustcnn.core.norms import NormName
from robustcnn.core.threat import ThreatModel

if TYPE_CHECKING:
    from tests.attacks.conftest import Linear, Trained


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.3), ("l2", 2.0), ("l1", 14.0)])
def test_what_one_half_teaches_fools_the_other_better_than_noise(trained: Trained, norm: NormName, eps: float) -> None:
    model, images, labels = trained
    threat = ThreatModel(norm=norm, eps=eps)
    change = Universal(batch_size=32).fit(model, images[:64], labels[:64], threat)
    assert change.shape == (1, *images.shape[1:])
    others, theirs = images[64:], labels[64:]
    fooled = is_fooled(model(threat.project(others + change, others)), theirs).float().mean()
    noise = is_fooled(model(CornerNoise()(model, others, theirs, threat)), theirs).float().mean()
    assert fooled > noise + 0.3


def test_every_image_gets_the_same_change(trained: Trained) -> None:
    model, images, labels = trained
    threat, attack = ThreatModel(eps=0.1), Universal(epochs=2)
    change = attack.fit(model, images, labels, threat)
    attacked = attack(model, images, labels, threat)
    torch.testing.assert_close(attacked, (images + change).clamp(0, 1))
    assert change.abs().max() <= 0.1


def test_on_one_class_of_a_linear_model_it_is_the_known_worst_case(binary: Linear) -> None:
    images = torch.full((8, 1, 4, 4), 0.5, dtype=torch.float64)
    labels = torch.zeros(8, dtype=torch.int64)
    change = Universal().fit(binary, images, labels, ThreatModel(eps=0.1))
    worst = 0.1 * (binary.weight[1] - binary.weight[0]).sign().reshape(1, 1, 4, 4)
    torch.testing.assert_close(change, worst.detach())


def test_confident_logits_do_not_stop_it(trained: Trained) -> None:
    model, images, labels = trained
    threat = ThreatModel(eps=0.3)

    class Sure(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return 1000 * model(images)

    change = Universal(batch_size=32).fit(Sure(), images, labels, threat)
    plain = Universal(batch_size=32).fit(model, images, labels, threat)
    fooled, usual = (is_fooled(model((images + each).clamp(0, 1)), labels).float().mean() for each in (change, plain))
    assert fooled > 0.8 * usual


def test_fit_leaves_the_model_as_it_was(trained: Trained) -> None:
    model, images, labels = deepcopy(trained.model).train(), trained.images, trained.labels
    model.zero_grad(set_to_none=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Universal(epochs=1).fit(model, images, labels, ThreatModel(eps=0.1))
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_an_infinite_eps_is_refused(trained: Trained) -> None:
    model, images, labels = trained
    with pytest.raises(ValueError, match="Universal needs a finite eps, got inf"):
        Universal().fit(model, images, labels, ThreatModel(norm="l2", eps=float("inf")))


def test_what_was_fitted_is_one_change_for_any_images_and_is_refused_where_it_was_not_fitted(trained: Trained) -> None:
    model, images, labels = trained
    threats = [ThreatModel(eps=0.1), ThreatModel(norm="l2", eps=1.0)]
    attack = Universal(epochs=2).fitted(model, images[:64], labels[:64], threats)
    assert repr(attack) == "Universal(epochs=2) fitted on 64 images"
    for threat in threats:
        change = Universal(epochs=2).fit(model, images[:64], labels[:64], threat)
        others = images[64:]
        torch.testing.assert_close(attack(model, others, labels[64:], threat), threat.project(others + change, others))
    with pytest.raises(ValueError, match=r"knows linf 0.1, l2 1, got linf 0.2 \(fit it for this threat too\)"):
        attack(model, images, labels, ThreatModel(eps=0.2))
