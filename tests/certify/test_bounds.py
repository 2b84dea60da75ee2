"""What bounds are of networks whose answer is known, and which models have none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robustcnn.certify import NoLowerBound, bounds, certified, radii
from robustcnn.certify.margins import METHODS, Method
from robustcnn.certify.network import Rounding
from robustcnn.core.norms import NormName
from robustcnn.core.runtime import float32_is_kept, seeded
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel
from robustcnn.models.registry import build

IMAGES = 0.25 + 0.5 * torch.rand(5, 1, 6, 6, generator=seeded(0))


def grey(*, side: int) -> ImageSpec:
    return ImageSpec(channels=1, height=side, width=side, classes=tuple("0123456789"), mean=(0.4,), std=(0.25,))


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 36, generator=seeded(1)))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2), ("l1", float("inf"))])
def test_bounds_of_a_linear_model_are_its_known_worst_case(norm: NormName, dual: float, method: Method) -> None:
    model = Linear()
    logits = model(IMAGES)
    labels = logits.argmax(1)
    found = bounds(model, IMAGES, labels, ThreatModel(norm=norm, eps=0.05), method=method)
    differences = model.weight[labels].unsqueeze(1) - model.weight
    known = logits.gather(1, labels[:, None]) - logits - 0.05 * differences.norm(p=dual, dim=2)
    others = torch.ones_like(known, dtype=torch.bool).scatter(1, labels[:, None], False)
    torch.testing.assert_close(found[others], known.double()[others], atol=1e-4, rtol=0)
    assert found[~others].isinf().all()
    assert (found[others] <= known.double()[others]).all()


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_the_ball_is_cut_with_the_pixel_box(norm: NormName) -> None:
    model, dark = Linear(), torch.zeros(1, 1, 6, 6)
    labels = torch.tensor([0])
    # Nothing but brighter pixels can be reached; of each, no more than to 1.
    found = bounds(model, dark, labels, ThreatModel(norm=norm, eps=1.0 if norm == "linf" else 100.0))
    falls = (model.weight[0] - model.weight[1:]).clamp_max(0).sum(1)
    torch.testing.assert_close(found[0, 1:], falls.double(), atol=1e-3, rtol=0)


def test_dearer_methods_are_never_looser() -> None:
    torch.manual_seed(0)
    model = build("smallcnn", grey(side=12), width=0.1)
    images = torch.rand(4, 1, 12, 12)
    labels = model(images).argmax(1)
    interval, crown, alpha = (
        bounds(model, images, labels, ThreatModel(eps=0.02), method=method).amin(1) for method in METHODS
    )
    assert (interval < crown - 0.1).all()
    assert (crown <= alpha).all()
    assert (crown < alpha).any()


@pytest.mark.parametrize("method", METHODS)
def test_certified_says_where_all_bounds_are_above_zero(method: Method) -> None:
    torch.manual_seed(0)
    model = build("mlp", grey(side=12), hidden=(20,))
    images = torch.rand(40, 1, 12, 12)
    labels = model(images).argmax(1)
    threat = ThreatModel(eps=0.004)
    proven = certified(model, images, labels, threat, method=method, batch_size=7)
    assert torch.equal(proven, (bounds(model, images, labels, threat, method=method) > 0).all(1))
    assert 0 < int(proven.sum()) < 40


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_for_dearer_methods_where_cheap_ones_prove_all(method: Method) -> None:
    model = Linear()
    labels = model(IMAGES).argmax(1)
    threat = ThreatModel(eps=1e-5)
    assert certified(model, IMAGES, labels, threat, method=method).all()
    assert (radii(model, IMAGES, labels, threat, method=method, rounds=3) == threat.eps).all()


def test_a_mistake_is_never_proven() -> None:
    torch.manual_seed(0)
    model = build("mlp", grey(side=12), hidden=(20,))
    images = torch.rand(5, 1, 12, 12)
    wrong = model(images).argmin(1)
    assert not certified(model, images, wrong, ThreatModel(eps=0.0)).any()


def test_nothing_is_changed_on_the_model() -> None:
    torch.manual_seed(0)
    model = build("bncnn", grey(side=12), width=0.1, dropout=0.5).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = torch.rand(3, 1, 12, 12)
    bounds(model, images, torch.zeros(3, dtype=torch.int64), ThreatModel(eps=0.01), method="alpha-crown", steps=2)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    "name",
    ["lenet5", "smallcnn", "bncnn", "alexnet", "vgg11", "googlenet", "resnet18", "preactresnet18", "maxout", "dcgan"],
)
def test_bounds_are_known_of_our_networks(name: str) -> None:
    torch.manual_seed(0)
    model = build(name, grey(side=32), **({} if name in ("lenet5", "maxout") else {"width": 0.1}))
    images = torch.rand(2, 1, 32, 32)
    logits = model.eval()(images).double()
    labels = logits.argmax(1)
    found = bounds(model, images, labels, ThreatModel(eps=0.001), method="interval")
    assert (found <= (logits.gather(1, labels[:, None]) - logits).masked_fill(found.isinf(), torch.inf)).all()


class Softmaxed(Linear):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).softmax(1)


class Noisy(Linear):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images + torch.randn_like(images))


class ByTheBatch(Linear):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images - images.mean(0, keepdim=True))


class Choosing(Linear):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) if images.mean() > 0.5 else -super().forward(images)


class Counting(Linear):
    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, images: Tensor) -> Tensor:
        self.asked += 1
        return super().forward(images) * self.asked


class BatchNormed(Linear):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(nn.functional.batch_norm(images, None, None, training=True))


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Softmaxed(), "no lower bound: no bound is known of aten.*softmax"),
        (Noisy(), "no lower bound: the model draws random numbers"),
        (ByTheBatch(), "no lower bound: .* mixes the examples of a batch"),
        (Choosing(), "no lower bound: the model cannot be traced"),
        (Counting(), "no lower bound: the model answers the same images differently|no lower bound: the traced graph"),
        (BatchNormed(), "no lower bound"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_model_without_a_bound_is_refused_in_one_line(model: nn.Module, why: str) -> None:
    with pytest.raises(NoLowerBound, match=why) as caught:
        bounds(model, IMAGES, torch.zeros(5, dtype=torch.int64), ThreatModel(eps=0.1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"method": "corwn"}, "unknown method 'corwn'.*did you mean 'crown'"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"images": IMAGES[:0], "labels": torch.zeros(0, dtype=torch.int64)}, "N >= 1"),
        ({"images": (255 * IMAGES).byte()}, "images must be float"),
        ({"labels": torch.full((5,), 7)}, "labels must lie in 0..2, got 7..7"),
    ],
)
def test_wrong_arguments_are_refused(changed: dict[str, object], says: str) -> None:
    given = {"images": IMAGES, "labels": torch.zeros(5, dtype=torch.int64), "threat": ThreatModel(eps=0.1)} | changed
    with pytest.raises(ValueError, match=says):
        bounds(Linear(), **given)


@pytest.mark.parametrize("proof", [bounds, certified, radii])
def test_proofs_are_of_float32_proper_also_where_a_gpu_would_take_tf32(
    proof: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    kept = []

    def rounding(model: torch.dtype, working: torch.dtype, device: torch.device) -> Rounding:
        kept.append(float32_is_kept())
        return Rounding(torch.finfo(model).eps, torch.finfo(working).eps)

    monkeypatch.setattr(Rounding, "of", rounding)
    proof(Linear(), IMAGES, torch.zeros(5, dtype=torch.int64), ThreatModel(eps=0.05))
    assert kept
    assert all(kept)
    assert not float32_is_kept()
