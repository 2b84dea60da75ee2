"""Compiled views: few sizes, each compiled once, and answers that are those of the view itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks import PGD
from robustcnn.attacks.craft import craft
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.compiled import Compiled, captured_size
from robustcnn.models import build

SPEC = ImageSpec(channels=1, height=12, width=12, classes=("a", "b", "c"), mean=(0.5,), std=(0.5,))


def network() -> nn.Module:
    with global_seed(0):
        return build("smallcnn", SPEC, width=0.1).eval().requires_grad_(False)


def pictures(count: int) -> Tensor:
    return torch.rand(count, 1, 12, 12, generator=seeded(count))


def test_sizes_are_powers_of_two_and_three_quarters_of_them() -> None:
    sizes = {captured_size(count) for count in range(1, 513)}
    assert sizes == {8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512}
    assert all(count <= captured_size(count) <= max(8, 1.5 * count) for count in range(1, 2049))


def slope(look: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    leaf = images.clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(look(leaf).square().sum(), leaf)
    return gradient


@pytest.mark.slow
def test_each_size_is_captured_once_and_none_is_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    captured: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., object]:
        captured.append(max(each.shape[0] for each in inputs if each.ndim == 4 and each.shape[2:] == (12, 12)))
        return graph.forward

    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda look, **_: compiler(look, backend=backend, dynamic=False))
    model = network()
    view, counts = Compiled(model), (128, 100, 90, 64, 50, 33, 30, 20, 13, 9, 2, 1)
    for _ in range(2):
        for count in counts:
            images = pictures(count)
            with torch.no_grad():
                torch.testing.assert_close(view(images), model(images))
            torch.testing.assert_close(slope(view, images), slope(model, images))
    # Nine sizes in two modes: torch's own limit is eight.
    assert sorted(captured) == sorted(2 * list({captured_size(count) for count in counts}))


@pytest.mark.slow
def test_an_attack_on_a_compiled_view_finds_what_it_finds_on_the_view_itself() -> None:
    images, threat = pictures(7), ThreatModel(norm="linf", eps=0.1)
    model = network()
    labels = model(images).argmax(1)
    attacked = partial(craft, PGD(steps=5), model, images, labels, threat, batch_size=8)
    torch.testing.assert_close(attacked(compiled=True), attacked(), rtol=0, atol=1e-5)
