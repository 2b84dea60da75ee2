"""Winograd's short way gives the convolution's own numbers, and is taken only where it pays."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robustcnn.core.conv_arithmetic import crop
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.fast.incremental import incremental_forward
from robustcnn.fast.live_view import LiveView
from robustcnn.fast.view import CoarseView, FastView, fast_view
from robustcnn.fast.winograd import TILES, Winograd, gain, winograd_for


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor for whose instructions no kernel of torch's is quick enough."""
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX2")


def convolution(channels: int = 5, results: int = 7, **options: object) -> nn.Conv2d:
    with global_seed(0):
        return nn.Conv2d(channels, results, 3, **options).requires_grad_(False)  # type: ignore[arg-type]


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=seeded(1))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (2, 1), (0, 2)])
@pytest.mark.parametrize("size", [(3, 3), (4, 8), (7, 6), (17, 16)])
def test_results_and_gradients_are_those_of_the_convolution(
    size: tuple[int, int], padding: tuple[int, int], bias: bool, layout: torch.memory_format
) -> None:
    usual = convolution(padding=padding, bias=bias).double()
    short = Winograd(usual, padding)
    leaf = noise(3, 5, *size).double().contiguous(memory_format=layout).requires_grad_()
    expected, found = usual(leaf), short(leaf)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    slope = noise(*expected.shape).double()
    (theirs,), (ours,) = (torch.autograd.grad(result, leaf, slope) for result in (expected, found))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("count", [1, TILES - 1, TILES, 2 * TILES + 3])
def test_any_number_of_images_goes_through(count: int) -> None:
    usual = convolution(padding=1)
    images = noise(count, 5, 4, 4)
    torch.testing.assert_close(Winograd(usual, (1, 1))(images), usual(images), rtol=1e-4, atol=1e-5)


def test_rounding_in_float32_is_as_small_as_the_convolutions_own() -> None:
    usual, images = convolution(256, 256, padding=1), noise(4, 256, 8, 8)
    expected = usual.double()(images.double())
    short = Winograd(usual.float(), (1, 1))(images)
    assert (short - expected).norm() < 3e-6 * expected.norm()


def test_what_follows_may_work_in_place() -> None:
    usual, images = convolution(padding=1), noise(2, 5, 8, 8).requires_grad_()
    slopes = []
    for layer in (usual, Winograd(usual, (1, 1))):
        result = nn.ReLU(inplace=True)(layer(images))
        slopes.append(torch.autograd.grad(result.sum(), images)[0])
    torch.testing.assert_close(slopes[1], slopes[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(128, 128, 5, padding=2),
        nn.Conv2d(128, 128, 3, stride=2),
        nn.Conv2d(128, 128, 3, dilation=2),
        nn.Conv2d(128, 128, 3, groups=2),
        nn.Conv2d(128, 128, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(128, 128, 3, padding=3),
        nn.Conv2d(16, 16, 3, padding=1),
    ],
)
def test_only_convolutions_that_it_is_and_pays_for_go_the_short_way(other: nn.Conv2d) -> None:
    assert winograd_for(nn.Conv2d(128, 128, 3, padding=1).requires_grad_(False), (16, 16)) is not None
    assert winograd_for(nn.Conv2d(128, 128, 3, padding="same").requires_grad_(False), (16, 16)) is not None
    assert winograd_for(other.requires_grad_(False), (16, 16)) is None


def test_it_pays_the_more_the_more_channels_there_are_and_the_less_is_cut_off() -> None:
    narrow, wide = nn.Conv2d(64, 64, 3), nn.Conv2d(512, 512, 3)
    assert 1 < gain(narrow, (16, 16)) < gain(wide, (16, 16)) < 144 / 36
    assert gain(wide, (13, 13)) < gain(wide, (15, 15)) < gain(wide, (16, 16))


def test_where_the_usual_way_is_quick_only_the_widest_layers_go_the_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX512")
    taken = {
        (channels, side): winograd_for(convolution(channels, channels, padding=1), (side, side)) is not None
        for channels, side in ((64, 16), (128, 16), (256, 8), (512, 7), (512, 4))
    }
    assert [each for each, short in taken.items() if short] == [(512, 4)]


def test_a_layer_that_does_more_than_convolve_keeps_its_way() -> None:
    hooked = convolution(128, 128, padding=1)
    hooked.register_forward_hook(lambda *arguments: 2 * arguments[-1])
    assert winograd_for(hooked, (16, 16)) is None


def wide() -> nn.Sequential:
    with global_seed(0):
        layers = [nn.Conv2d(3, 96, 3, padding=1), nn.ReLU(), nn.Conv2d(96, 96, 3, padding=1), nn.ReLU()]
        return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(4)).eval()


def short_ways(model: nn.Module) -> int:
    return sum(isinstance(each, Winograd) for each in model.modules())


def test_views_take_it_while_the_weights_stand_still() -> None:
    model, images = wide(), torch.rand(4, 3, 16, 16, generator=seeded(0))
    model(images)
    view = fast_view(model, images)
    assert isinstance(view, FastView)
    assert short_ways(view) == 1
    torch.testing.assert_close(view(images), model(images), rtol=1e-4, atol=1e-5)
    assert short_ways(LiveView(model, images).view()) == 0


class ByKeyword(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 96, 3, padding=1), nn.Conv2d(96, 96, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.second(input=self.first(images).relu())
        return maps.mean((2, 3))[:, :4]


def test_convolutions_that_are_called_by_keyword_are_left_alone() -> None:
    images = torch.rand(4, 3, 16, 16, generator=seeded(0))
    view = fast_view(ByKeyword().eval(), images)
    assert isinstance(view, FastView)
    assert short_ways(view) == 0


def test_bf16_searches_the_usual_way_and_is_confirmed_by_the_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robustcnn.fast.view.usable", lambda precision, _: precision)
    model, images = wide(), torch.rand(4, 3, 16, 16, generator=seeded(0))
    model(images)
    view = fast_view(model, images, precision="bf16")
    assert isinstance(view, CoarseView)
    assert (short_ways(view.search), short_ways(view.plain)) == (0, 1)


def test_square_looks_through_it_in_part() -> None:
    model, images = wide(), torch.rand(4, 3, 32, 32, generator=seeded(0))
    model(images)
    with torch.no_grad():
        look = incremental_forward(fast_view(model, images), images, 3)
        assert look is not None
        assert len(look.stages) == 2
        place = ((9, 12), (29, 32))
        crop(images, place).fill_(1.0)
        torch.testing.assert_close(look(crop(images, place), place), model(images), rtol=1e-4, atol=1e-5)
