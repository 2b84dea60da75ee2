"""Both networks of the DCGAN as its paper has them, and the classifier that the discriminator becomes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from model_specs import COLOUR, GREY, spec
from torch import nn

from robustcnn.attacks.gradient import PGD
from robustcnn.core.plain_data import to_plain
from robustcnn.core.results import EpochMetrics
from robustcnn.core.runtime import evaluating, global_seed, seeded
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.view import FastView, fast_view
from robustcnn.models import MODELS, PixelModel, build, checkpoint
from robustcnn.models.dcgan import DcganConfig, Generator, classifier_from, discriminator, halvings
from robustcnn.models.stored_folder import write_tensors

SIZES = (28, 32, 48, 64)
EVERY_SPEC = pytest.mark.parametrize(
    "pictures",
    [spec(channels, size) for size in SIZES for channels in (1, 3)],
    ids=lambda s: "x".join(map(str, s.shape)),
)
NARROW = DcganConfig(width=0.125, latent=16)


def made(pictures: ImageSpec, config: DcganConfig = NARROW) -> tuple[Generator, PixelModel]:
    with global_seed(0):
        return Generator(pictures, config), discriminator(pictures, config)


def learnt(pictures: ImageSpec, config: DcganConfig = NARROW) -> PixelModel:
    """A discriminator that has seen a few batches, so that its batch norms and spectral norms are not fresh."""
    _, judge = made(pictures, config)
    optimizer = torch.optim.SGD(judge.parameters(), lr=0.1)
    for seed in range(3):
        images = torch.rand(8, *pictures.shape, generator=seeded(seed))
        judge(images).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return judge


@EVERY_SPEC
def test_the_generator_makes_pixels_and_the_discriminator_one_logit_of_them(pictures: ImageSpec) -> None:
    generator, judge = made(pictures)
    images = generator(torch.randn(3, 16, generator=seeded(0)))
    assert images.shape == (3, *pictures.shape)
    assert 0 <= images.min() < images.max() <= 1
    assert judge(images).shape == (3, 1)


@EVERY_SPEC
def test_maps_of_4_to_7_pixels_are_what_generation_starts_from_and_judging_ends_with(pictures: ImageSpec) -> None:
    generator, judge = made(pictures)
    (start,) = (tuple(layer.unflattened_size) for layer in generator.modules() if isinstance(layer, nn.Unflatten))
    end = judge.net[:-2](torch.zeros(2, *pictures.shape)).shape[1:]
    assert start == tuple(end)
    assert 4 <= start[1] <= 7
    assert start[1] * 2 ** halvings(pictures) == pictures.height


def test_the_layers_are_those_of_the_paper() -> None:
    generator, judge = made(spec(3, 64), DcganConfig())
    channels = [layer.out_channels for layer in judge.modules() if isinstance(layer, nn.Conv2d)]
    assert channels == [64, 128, 256, 512]
    kinds = [[type(layer) for layer in block] for block in judge.net[:-2]]
    assert kinds == [[nn.Conv2d, nn.LeakyReLU]] + 3 * [[nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU]]
    assert {layer.negative_slope for layer in judge.modules() if isinstance(layer, nn.LeakyReLU)} == {0.2}
    growing = [layer for layer in generator.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [layer.out_channels for layer in growing] == [256, 128, 64, 3]
    for layer in [*growing, *(each for each in judge.modules() if isinstance(each, nn.Conv2d))]:
        assert (layer.kernel_size, layer.stride, layer.padding) == ((4, 4), (2, 2), (1, 1))
    assert type(generator.net[-1]) is nn.Tanh
    assert not any(
        isinstance(layer, nn.MaxPool2d | nn.AvgPool2d) for net in (generator, judge) for layer in net.modules()
    )


def test_the_first_layer_is_the_transposed_convolution_of_one_pixel() -> None:
    generator, _ = made(GREY)
    linear, unflatten, *_ = generator.net
    grow = nn.ConvTranspose2d(16, 16, 7, bias=False)
    grow.weight.data = linear.weight.data.view(16, 7, 7, 16).permute(3, 0, 1, 2)
    latents = torch.randn(5, 16, generator=seeded(0))
    torch.testing.assert_close(unflatten(linear(latents)), grow(latents[:, :, None, None]))


def test_weights_start_from_a_normal_distribution_of_deviation_a_fiftieth() -> None:
    for net in made(COLOUR, DcganConfig()):
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
                assert abs(module.weight.mean().item()) < 0.002
            if isinstance(module, nn.BatchNorm2d):
                assert module.weight.mean().item() == pytest.approx(1, abs=0.01)
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.3)


def test_spectral_norm_leaves_no_layer_a_singular_value_above_one() -> None:
    config = DcganConfig(width=0.125, latent=16, spectral_norm=True)
    judge = learnt(GREY, config)
    for seed in range(40):
        judge(torch.rand(4, *GREY.shape, generator=seeded(seed)))
    with evaluating(judge):
        weights = [layer.weight.flatten(1) for layer in judge.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for weight in weights:
        assert torch.linalg.svdvals(weight)[0].item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("normed", [False, True])
@EVERY_SPEC
def test_a_classifier_has_the_discriminators_features_and_a_head_of_its_own(pictures: ImageSpec, normed: bool) -> None:
    judge = learnt(pictures, DcganConfig(width=0.125, latent=16, spectral_norm=normed))
    before = {name: tensor.clone() for name, tensor in judge.state_dict().items()}
    with global_seed(1):
        model = classifier_from(judge, pictures)
    images = torch.rand(4, *pictures.shape, generator=seeded(9))
    with evaluating(judge), evaluating(model), torch.no_grad():
        seen = (images - judge.mean) / judge.std
        torch.testing.assert_close(model.net[:-1](seen), judge.net[:-1](seen))
        assert model(images).shape == (4, 10)
    assert not any("parametrizations" in name for name in model.state_dict())
    assert all(torch.equal(tensor, before[name]) for name, tensor in judge.state_dict().items()), (
        "it must be left alone"
    )


def test_pixels_are_normalised_as_the_trunk_has_learnt_to_see_them() -> None:
    other = ImageSpec(channels=1, height=28, width=28, classes=("a", "b", "c"), mean=(0.9,), std=(0.1,))
    model = classifier_from(learnt(GREY), other)
    assert (model.spec.mean, model.spec.std) == (GREY.mean, GREY.std)
    assert model.spec.classes == ("a", "b", "c")


def test_a_checkpoint_of_the_classifier_is_built_again_from_its_page(tmp_path: Path) -> None:
    model = classifier_from(learnt(GREY), GREY).eval()
    stored = write_tensors(tmp_path / "weights-0001.safetensors", model.state_dict())
    history = EpochMetrics(
        epoch=1,
        train_loss=1.0,
        valid_loss=1.0,
        valid_accuracy=0.5,
        learning_rate=0.1,
        images_per_second=1.0,
        seconds=1.0,
    )
    options = {"version": 1, "model": model.config, "spec": model.spec, "fit": {}, "data": "", "history": (history,)}
    page = checkpoint.Checkpoint(best=stored, last=stored, training=stored, **options)  # type: ignore[arg-type]
    checkpoint.STORED.write(tmp_path, page)
    again = checkpoint.load(tmp_path)
    images = torch.rand(4, *GREY.shape, generator=seeded(0))
    assert torch.equal(again(images), model(images))
    assert to_plain(again.config) == to_plain(model.config)
    assert build("dcgan", GREY, width=0.125).state_dict().keys() == model.state_dict().keys()
    assert "dcgan" in MODELS


@pytest.mark.parametrize("pictures", [GREY, COLOUR], ids=["grey", "colour"])
def test_attacks_take_the_classifier_and_its_fast_view(pictures: ImageSpec) -> None:
    model = classifier_from(learnt(pictures, DcganConfig(width=0.125, latent=16, spectral_norm=True)), pictures).eval()
    images = torch.rand(8, *pictures.shape, generator=seeded(0))
    assert type(fast_view(model, images)) is FastView
    labels, threat = model(images).argmax(1), ThreatModel(norm="linf", eps=0.1)
    found = PGD(steps=3)(model, images, labels, threat, generator=seeded(0))
    margin = [model(each).gather(1, labels[:, None]).mean().item() for each in (images, found)]
    assert margin[1] < margin[0]


@pytest.mark.parametrize(
    ("ours", "theirs", "text"),
    [
        (GREY, spec(3, 28), r"made for 28x28 grey pictures, the data are 28x28 colour pictures \(pass --data.grey\)"),
        (
            COLOUR,
            spec(1, 32),
            r"made for 32x32 colour .* are 32x32 grey pictures \(pre-train on grey pictures: .*grey\)",
        ),
        (GREY, spec(1, 32), r"made for 28x28 grey .* are 32x32 grey pictures \(pass --data.size 28, or pre-train on"),
    ],
)
def test_data_of_another_form_are_refused_with_the_cure(ours: ImageSpec, theirs: ImageSpec, text: str) -> None:
    _, judge = made(ours)
    with pytest.raises(ValueError, match=text):
        classifier_from(judge, theirs)


def test_only_a_dcgan_has_a_trunk_to_give() -> None:
    with pytest.raises(ValueError, match="a dcgan discriminator is needed, got a smallcnn"):
        classifier_from(build("smallcnn", GREY), GREY)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"width": 0.0}, "width multiplies the channels and must be positive, got 0"),
        ({"latent": 0}, "latent must be at least 1 number, got 0"),
    ],
)
def test_a_config_that_makes_no_network_is_refused(options: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        DcganConfig(**options)  # type: ignore[arg-type]


def test_sides_that_cannot_be_reached_by_doubling_are_refused() -> None:
    with pytest.raises(ValueError, match=r"sides must be multiples of 4, got 30x30 \(--data.size 28, 32, 48 or 64\)"):
        Generator(spec(1, 30), NARROW)
    with pytest.raises(ValueError, match=r"latents must be \(N, 16\), got \(2, 3\)"):
        made(GREY)[0](torch.zeros(2, 3))
