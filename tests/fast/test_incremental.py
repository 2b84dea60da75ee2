"""Looking at a changed window only: the same logits as looking at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robustcnn import build
from robustcnn.attacks.craft import prepare
from robustcnn.attacks.square import Square
from robustcnn.core.conv_arithmetic import Place, crop
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.incremental import IncrementalForward, incremental_forward
from robustcnn.fast.view import FastView

HEIGHT, WIDTH = 13, 17
PLACES: list[Place] = [((0, 2), (0, 2)), ((11, 13), (15, 17)), ((5, 7), (0, 2)), ((12, 13), (8, 10)), ((4, 6), (7, 9))]
"""In the corners, at the borders and in the middle."""
CHAINS: dict[str, list[nn.Module]] = {
    "same": [nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1)],
    "strides": [nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Tanh(), nn.Conv2d(4, 4, 3, stride=2)],
    "unseen pixels": [nn.Conv2d(2, 4, 1, stride=3), nn.Conv2d(4, 4, 2)],
    "dilation and groups": [nn.Conv2d(2, 4, 3, padding=2, dilation=2), nn.Conv2d(4, 4, 3, groups=2, padding=(1, 0))],
    "max pooling": [nn.Conv2d(2, 4, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 4, 3, padding=1)],
    "average pooling": [nn.Conv2d(2, 4, 3, padding=1), nn.AvgPool2d(2), nn.GELU(), nn.Conv2d(4, 4, 2)],
    "first a ReLU in place": [nn.ReLU(inplace=True), nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU()],
    "a layer of another kind": [nn.Conv2d(2, 4, 3, padding=1), nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3)],
}


OTHERS_BETWEEN = ("first a ReLU in place", "a layer of another kind")
"""Batch norm that was not folded, and the other kind, end what is looked at in part."""


def grey(size: int) -> ImageSpec:
    return ImageSpec(channels=1, height=size, width=size, classes=("a", "b", "c"), mean=(0.4,), std=(0.3,))


def chain(layers: list[nn.Module], *, pooled: bool = True) -> nn.Module:
    with global_seed(0):
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                layer.reset_parameters()
        between = [nn.AdaptiveAvgPool2d(3)] if pooled else []
        model = nn.Sequential(*layers, *between, nn.Flatten(), nn.LazyLinear(5), nn.Softplus()).double().eval()
        model(pictures(1, 0))
        return model


def pictures(count: int, seed: int, channels: int = 2) -> Tensor:
    return torch.rand(count, channels, HEIGHT, WIDTH, generator=seeded(seed), dtype=torch.float64)


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("name", CHAINS)
def test_logits_are_those_of_the_changed_images_and_only_what_was_kept_stays(name: str, pooled: bool) -> None:
    model, images = FastView(chain(CHAINS[name], pooled=pooled), chunk=4), pictures(6, 0)
    before = images.clone()
    with torch.no_grad():
        look = incremental_forward(model, images, 2)
        assert isinstance(look, IncrementalForward)
        assert (look.sums is None) == (pooled or name in OTHERS_BETWEEN)
        held = images.clone()
        for number, place in enumerate(PLACES * 2):
            candidates = held.clone()
            crop(candidates, place).copy_(crop(pictures(6, 1 + number), place))
            torch.testing.assert_close(
                look(crop(candidates, place), place), model(candidates).double(), rtol=1e-5, atol=1e-6
            )
            kept = torch.rand(6, generator=seeded(number)) < 0.5
            look.settle(kept, None)
            held[kept] = candidates[kept]
        stay = torch.tensor([0, 3, 5])
        look.settle(torch.zeros(6, dtype=torch.bool), stay)
        place = PLACES[4]
        candidates = held[stay]
        torch.testing.assert_close(
            look(crop(candidates, place), place), model(candidates).double(), rtol=1e-5, atol=1e-6
        )
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", ["smallcnn", "bncnn", "lenet5", "alexnet"])
def test_networks_here_are_looked_at_in_part(name: str) -> None:
    spec = grey(28)
    with global_seed(0):
        model = build(name, spec).eval()
    images = torch.rand(5, 1, 28, 28, generator=seeded(0))
    with torch.no_grad():
        look = incremental_forward(prepare(model, images, torch.zeros(5, dtype=torch.int64)), images, 2)
        assert look is not None
        place = ((9, 11), (26, 28))
        images[:, :, 9:11, 26:28] = 1
        torch.testing.assert_close(look(crop(images, place), place), model(images), rtol=1e-4, atol=1e-5)


def test_nothing_is_remembered_where_nothing_can_be_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures(2, 0)
    model = chain(CHAINS["same"])
    with torch.no_grad():
        assert incremental_forward(model, images, 2) is None
        assert incremental_forward(FastView(model), images, 13) is None
        assert incremental_forward(FastView(nn.Sequential(nn.Flatten(), nn.Linear(442, 2)).double()), images, 2) is None
        monkeypatch.setattr("robustcnn.fast.incremental.MEMORY", 1000)
        assert incremental_forward(FastView(model), images, 2) is None


class Doubled(nn.Conv2d):
    """Another function than its name says."""

    def forward(self, images: Tensor) -> Tensor:
        return 2 * super().forward(images)


def test_a_layer_that_does_more_than_its_kind_is_not_taken_for_it() -> None:
    images = pictures(2, 0)
    hooked = chain([nn.Conv2d(2, 4, 3)])
    hooked[0].register_forward_hook(lambda *arguments: 2 * arguments[-1])  # type: ignore[operator]
    with torch.no_grad():
        assert incremental_forward(FastView(chain([nn.Conv2d(2, 4, 3)])), images, 1) is not None
        assert incremental_forward(FastView(chain([Doubled(2, 4, 3)])), images, 1) is None
        assert incremental_forward(FastView(hooked), images, 1) is None


@pytest.mark.parametrize(("name", "size"), [("bncnn", 16), ("smallcnn", 28)])
def test_square_finds_the_same_with_a_local_look_and_without(
    name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with global_seed(0):
        model = build(name, grey(size), width=0.25).eval()
    images, labels = torch.rand(8, 1, size, size, generator=seeded(0)), torch.zeros(8, dtype=torch.int64)
    labels = model(images).argmax(1)
    view, found, looks = prepare(model, images, labels), [], list[IncrementalForward | None]()
    for see in (incremental_forward, lambda *_: None):

        def noted(*arguments: Any, see: Callable[..., IncrementalForward | None] = see) -> IncrementalForward | None:
            looks.append(see(*arguments))
            return looks[-1]

        monkeypatch.setattr("robustcnn.attacks.square.incremental_forward", noted)
        found.append(Square(queries=300)(view, images, labels, ThreatModel(norm="linf", eps=0.02), generator=seeded(1)))
    assert any(look and (look.sums or name == "bncnn") for look in looks)
    assert (found[0] - found[1]).abs().max() < 1e-6
