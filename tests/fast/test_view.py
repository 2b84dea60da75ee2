"""Fast views answer as their model does, or step aside."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustcnn.attacks import FGSM, PGD, AutoAttack, Square, batch_size, breaking_eps, craft, fast_view
from robustcnn.attacks.base import input_gradient, is_fooled
from robustcnn.attacks.batch_size import SIZES, best_size
from robustcnn.attacks.craft import NEAR, prepare
from robustcnn.core.losses import cross_entropy
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.layers import InputConvolution, ScaleShift, WholeMap
from robustcnn.fast.view import CoarseView, FastView, exact_logits
from robustcnn.models import MODELS, build

THREAT = ThreatModel(norm="linf", eps=0.1)


def spec(channels: int = 1, size: int = 28) -> ImageSpec:
    mean = (0.3, 0.4, 0.5)[:channels]
    return ImageSpec(channels=channels, height=size, width=size, classes=tuple("abcd"), mean=mean, std=mean)


def settled(name: str, channels: int = 1, size: int = 28, **options: object) -> nn.Module:
    """A network whose batch norms have seen some pictures, so that folding them is not the identity."""
    with global_seed(0):
        model = build(name, spec(channels, size), **options)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 2.0)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.2, 0.2)
    return model.eval()


def pictures(count: int = 12, channels: int = 1, size: int = 28) -> Tensor:
    return torch.rand(count, channels, size, size, generator=seeded(1))


def labels(count: int = 12) -> Tensor:
    return torch.arange(count) % 4


def slope(model: nn.Module, images: Tensor) -> Tensor:
    return input_gradient(model, images, lambda logits, part: cross_entropy(logits, labels(len(images))[part])).gradient


def relative(ours: Tensor, theirs: Tensor) -> float:
    return ((ours - theirs).norm() / theirs.norm()).item()


@pytest.mark.parametrize("name", [name for name in MODELS if name != "wideresnet28-10"])
def test_every_network_has_a_view_with_its_logits_and_gradients(name: str) -> None:
    size = 32
    options = {} if name in ("logistic", "lenet5") else {"width": 0.125}
    model = settled(name, 3, size, **options)
    view = fast_view(model, pictures(4, 3, size))
    assert isinstance(view, FastView)
    images = pictures(6, 3, size)
    assert relative(view(images), model(images)) < 1e-4
    ours, theirs = (copy.deepcopy(each).double() for each in (view, model))
    assert relative(slope(ours, images.double()), slope(theirs, images.double())) < 1e-5


def test_batch_norm_after_a_convolution_is_gone_and_elsewhere_one_pass() -> None:
    view = fast_view(settled("bncnn", width=0.2), pictures())
    assert not any(isinstance(module, nn.BatchNorm2d | ScaleShift) for module in view.modules())
    before = fast_view(settled("preactresnet18", 3, 32, width=0.125), pictures(4, 3, 32))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in before.modules())
    assert any(isinstance(module, ScaleShift) for module in before.modules())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (5, 2), (5, 0), ((3, 5), (2, 1))])
@pytest.mark.parametrize("bias", [True, False])
def test_the_input_convolution_has_the_gradient_of_the_plain_one(
    channels: int, kernel: int | tuple[int, int], padding: int | tuple[int, int], bias: bool
) -> None:
    plain = nn.Conv2d(channels, 7, kernel, padding=padding, bias=bias).requires_grad_(False).double()
    ours = InputConvolution(plain)
    images = torch.rand(3, channels, 9, 11, dtype=torch.float64, requires_grad=True)
    weight = torch.rand_like(plain(images))
    (expected,) = torch.autograd.grad((plain(images) * weight).sum(), images)
    (given,) = torch.autograd.grad((ours(images) * weight).sum(), images)
    torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-6)


def test_the_model_itself_is_left_alone() -> None:
    model = settled("bncnn", width=0.2).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    craft(PGD(steps=2), model, pictures(), labels(), THREAT, precision="bf16")
    assert model.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


class Noisy(nn.Module):
    """Never twice the same answer."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(784, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.flatten(1)) + torch.randn(len(images), 4)


class Crossed(nn.Module):
    """Convolution and norm stand side by side, but do not run one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1)
        self.norm.running_mean.fill_(0.5)

    def forward(self, images: Tensor) -> Tensor:
        return self.convolution(self.norm(images)).flatten(1)[:, :4]


class InPlaceHater(nn.Module):
    """Applies its ReLU to the pixels themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.relu, self.head = nn.ReLU(), nn.Linear(784, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.relu(images).flatten(1))


class PerBatch(nn.Module):
    """Normalises by the batch at hand, whatever the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm2d(1, track_running_stats=False), nn.Linear(784, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.norm(images).flatten(1))


@pytest.mark.parametrize(
    ("kind", "why"), [(Noisy, "its answers are others when it is asked again"), (PerBatch, "depend on the batch")]
)
def test_a_model_that_its_view_would_misrepresent_is_attacked_as_it_is(kind: Callable[[], nn.Module], why: str) -> None:
    torch.manual_seed(0)
    model = kind().eval()
    with pytest.warns(UserWarning, match=f"attacking the plain model, which is slower: .*{why}"):
        assert fast_view(model, pictures()) is model


def test_pixels_that_a_rectifier_is_shown_are_not_written_into() -> None:
    torch.manual_seed(0)
    model, images = InPlaceHater().eval(), pictures() - 0.5
    before = images.clone()
    view = fast_view(model, images)
    assert isinstance(view, FastView)
    assert relative(view(images), model(images)) < 1e-6
    assert torch.equal(images, before)


def test_layers_that_run_in_another_order_than_they_stand_are_not_folded() -> None:
    torch.manual_seed(0)
    model = Crossed().eval()
    view = fast_view(model, pictures())
    assert isinstance(view, FastView)
    assert relative(view(pictures()), model(pictures())) < 1e-5


def test_a_model_without_a_fast_view_is_tried_and_told_of_once() -> None:
    torch.manual_seed(0)
    model, images = PerBatch().eval(), pictures()
    with pytest.warns(UserWarning, match="attacking the plain model"):
        view = prepare(model, images, labels())
    # Warnings are errors here: a second one would end the test.
    found = craft(FGSM(), view, images, labels(), ThreatModel(eps=0.1))
    assert torch.equal(found, FGSM()(model, images, labels(), ThreatModel(eps=0.1)))


def test_a_coarse_view_only_proposes() -> None:
    model = settled("bncnn", width=0.2)
    view = fast_view(model, pictures(), precision="bf16")
    assert isinstance(view, CoarseView)
    images = pictures()
    assert 1e-5 < relative(view(images), model(images)) < 0.1
    assert relative(exact_logits(view, images), model(images)) < 1e-4


class Liar(CoarseView):
    """Says of every picture that it is fooled."""

    def forward(self, images: Tensor) -> Tensor:
        return -10 * F.one_hot(labels(len(images)), 4).float() + super().forward(images) * 1e-3


def test_what_a_coarse_view_claims_is_not_believed_before_it_is_confirmed() -> None:
    model = settled("bncnn", width=0.2)
    view = fast_view(model, pictures(), precision="bf16")
    assert isinstance(view, CoarseView)
    images, truth = pictures(), model(pictures()).argmax(1)
    harmless = ThreatModel(norm="linf", eps=1e-6)
    found = PGD(steps=3, stop=True)(Liar(view.search, view.plain), images, truth, harmless)
    assert not is_fooled(model(found), truth).any()


@pytest.mark.parametrize("attack", [FGSM(), PGD(steps=5), Square(queries=20)], ids=repr)
def test_chunks_change_nothing(attack: FGSM | PGD | Square) -> None:
    model = settled("smallcnn", width=0.2)
    images, truth = pictures(), model(pictures()).argmax(1)
    whole = craft(attack, model, images, truth, THREAT, batch_size=100)
    parts = craft(attack, model, images, truth, THREAT, batch_size=5)
    # Sums in another order may tip a sign where the gradient is all but zero.
    assert ((whole - parts).abs() > 1e-4).float().mean() < 0.01


@pytest.mark.parametrize("fastest", [SIZES[0], SIZES[2], SIZES[-1]])
def test_auto_takes_the_fastest_size(fastest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def speed(_: object, images: Tensor, __: Tensor) -> float:
        return 2.0 ** -abs(math.log2(len(images) / fastest))

    monkeypatch.setattr(batch_size, "_speed", speed)
    monkeypatch.setattr(batch_size, "_FOUND", {})
    view = fast_view(settled("smallcnn", width=0.1), pictures())
    assert best_size(view, pictures(2048), labels(2048)) == fastest


def test_a_larger_batch_has_to_pay_for_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_size, "_speed", lambda _, images, __: 1 + 1e-5 * len(images))
    monkeypatch.setattr(batch_size, "_FOUND", {})
    view = fast_view(settled("smallcnn", width=0.1), pictures())
    assert best_size(view, pictures(2048), labels(2048)) == SIZES[0]


def test_sizes_are_tried_once_for_networks_of_one_build(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def speed(_: object, images: Tensor, __: Tensor) -> float:
        tried.append(len(images))
        return 1.0

    monkeypatch.setattr(batch_size, "_speed", speed)
    monkeypatch.setattr(batch_size, "_FOUND", {})
    one, other = settled("smallcnn", width=0.1), settled("smallcnn", width=0.1)
    nn.init.zeros_(next(other.parameters()))
    for model in (one, other, one):
        best_size(fast_view(model, pictures()), pictures(2048), labels(2048))
    assert tried == [*SIZES[:2]]
    best_size(fast_view(settled("smallcnn", width=0.2), pictures()), pictures(2048), labels(2048))
    assert len(tried) == 4


class Glutton(nn.Module):
    """Runs out of memory when shown more than `most` pictures."""

    most = 5

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(784, 4)

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 PiB")
        return self.head(images.flatten(1))


def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    torch.manual_seed(0)
    model = Glutton().eval()
    images = pictures(20)
    view = FastView(model, chunk=16)
    found = craft(FGSM(), view, images, labels(20), THREAT)
    assert view.chunk == 4
    model.most = 100
    torch.testing.assert_close(found, FGSM()(model, images, labels(20), THREAT))


def test_other_failures_are_not_taken_for_a_lack_of_memory() -> None:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise RuntimeError(f"shapes do not match: {images.shape}")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        craft(FGSM(), FastView(Broken(), chunk=16), pictures(), labels(), THREAT)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_leaving_the_fooled_out_loses_nothing(precision: str) -> None:
    model = settled("bncnn", width=0.3)
    images, truth = pictures(40), model(pictures(40)).argmax(1)
    small = ThreatModel(norm="linf", eps=0.02)
    full = craft(PGD(steps=20), model, images, truth, small)
    early = craft(PGD(steps=20, stop=True), model, images, truth, small, precision=precision)
    standing = [(~is_fooled(model(found), truth)).sum().item() for found in (full, early)]
    assert standing[1] <= standing[0] + 1
    assert 0 < standing[0] < 40


def test_a_curve_never_rises_and_starts_from_the_clean_mistakes() -> None:
    model = settled("smallcnn", width=0.2)
    images, truth = pictures(30), model(pictures(30)).argmax(1)
    truth[:3] = (truth[:3] + 1) % 4
    threats = [ThreatModel(norm="linf", eps=eps) for eps in (0.005, 0.01, 0.02, 0.05)]
    broken_at = breaking_eps(PGD(steps=10, stop=True), model, images, truth, threats)
    assert (broken_at[:3] == 0).all()
    assert set(broken_at.tolist()) <= {0.0, 0.005, 0.01, 0.02, 0.05, math.inf}
    alone = craft(PGD(steps=10, stop=True), model, images, truth, threats[1])
    fooled = is_fooled(model(alone), truth)
    # What one evaluation finds, the curve finds too, up to the luck of the random start.
    assert ((broken_at <= 0.01) != fooled).sum() <= 1


@pytest.mark.parametrize("radii", [(), (0.2, 0.1), (0.1, 0.1)])
def test_a_curve_wants_growing_balls(radii: tuple[float, ...]) -> None:
    threats = [ThreatModel(norm="linf", eps=eps) for eps in radii]
    with pytest.raises(ValueError, match="threats must"):
        breaking_eps(PGD(steps=1), settled("logistic"), pictures(), labels(), threats)


def test_autoattack_runs_on_a_coarse_view() -> None:
    model = settled("smallcnn", width=0.1)
    images, truth = pictures(6), model(pictures(6)).argmax(1)
    found = craft(AutoAttack(), model, images, truth, ThreatModel(norm="linf", eps=0.3), precision="bf16")
    assert is_fooled(model(found), truth).all()


def test_a_convolution_over_its_whole_map_becomes_a_matrix_product() -> None:
    view = fast_view(settled("lenet5"), pictures(2))
    assert sum(isinstance(module, WholeMap) for module in view.modules()) == 1


class FailsWhenCoarse:
    """Finds the answer unless it is shown a coarse view, where it gives up at once."""

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: ThreatModel,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        if isinstance(model, CoarseView):
            return images.clone()
        return FGSM()(model, images, labels, threat, generator=generator)


def test_what_a_coarse_search_left_nearest_to_the_boundary_is_searched_in_float32() -> None:
    model, images = settled("smallcnn"), pictures(60)
    with torch.no_grad():
        logits = model(images)
    lead = logits.topk(2).values
    gap = (lead[:, 0] - lead[:, 1]) / (logits.amax(1) - logits.amin(1))
    threat = ThreatModel(norm="linf", eps=1.0)
    found = craft(FailsWhenCoarse(), model, images, logits.argmax(1), threat, precision="bf16")
    changed = (found != images).flatten(1).any(1)
    assert 0 < changed.sum() < len(images)
    assert torch.equal(changed, gap < NEAR)


def test_a_compiled_view_is_shown_few_sizes_and_answers_for_the_images_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def compiled(view: nn.Module, **_: object) -> Callable[[Tensor], Tensor]:
        def look(images: Tensor) -> Tensor:
            seen.append(len(images))
            logits: Tensor = view(images)
            return logits

        return look

    monkeypatch.setattr(torch, "compile", compiled)
    model, images = settled("smallcnn"), pictures(12)
    view = fast_view(model, images[:4], compiled=True)
    for count in (12, 11, 5, 1):
        torch.testing.assert_close(view(images[:count]), model(images[:count]), rtol=1e-4, atol=1e-5)
        assert relative(slope(view, images[:count]), slope(model, images[:count])) < 1e-4
    assert set(seen) == {12, 8}
