"""Every network builds, computes, learns and says no clearly."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from model_specs import COLOUR, GREY, LARGE, narrow, spec
from torch import nn

from robustcnn.core.runtime import evaluating, global_seed, seeded
from robustcnn.core.spec import ImageSpec
from robustcnn.models import MODELS, ModelConfig, build, describe
from robustcnn.models.init import gain
from robustcnn.models.layers import ACTIVATIONS, ActivationName

EVERY = pytest.mark.parametrize("name", MODELS)


@EVERY
@pytest.mark.parametrize("pictures", [GREY, COLOUR, spec(3, 24, 40)], ids=lambda s: "x".join(map(str, s.shape)))
def test_logits_are_finite_and_one_a_class(name: str, pictures: ImageSpec) -> None:
    with global_seed(0):
        model = build(narrow(name), pictures)
    images = torch.rand(2, *pictures.shape, generator=seeded(0))
    with evaluating(model), torch.no_grad():
        logits = model(images)
        assert logits.shape == (2, 10)
        assert logits.isfinite().all()
        assert torch.equal(logits, model(images)), "evaluation must not draw random numbers"
    assert not torch.allclose(logits[0], logits[1]), "different images must be told apart"


def test_a_seed_gives_the_same_weights_and_leaves_the_callers_numbers_alone() -> None:
    before = torch.random.get_rng_state()
    first, second, other = (build("mlp", GREY, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert torch.equal(before, torch.random.get_rng_state())


@EVERY
def test_gradients_reach_every_parameter(name: str) -> None:
    with global_seed(0):
        model = build(narrow(name, dropout=0.0 if "dropout" in MODELS[name].options else None), GREY)
        images, labels = torch.rand(16, *GREY.shape), torch.arange(16) % 10
        F.cross_entropy(model(images), labels).backward()
    dead = [path for path, weights in model.named_parameters() if weights.grad is None or not weights.grad.any()]
    assert dead == []


@pytest.mark.parametrize("name", [name for name in MODELS if "width" in MODELS[name].options])
def test_width_multiplies_every_channel(name: str) -> None:
    def widths(width: float) -> list[int]:
        layers = describe(ModelConfig(name=name, width=width), COLOUR).layers
        return [layer.output[0] for layer in layers[:-1]]

    assert widths(2.0) == [2 * count for count in widths(1.0)]


@pytest.mark.parametrize("name", [name for name in MODELS if "activation" in MODELS[name].options])
def test_the_activation_asked_for_is_the_only_one(name: str) -> None:
    with torch.device("meta"):
        kinds = {type(module) for module in build(name, COLOUR, activation="elu").modules()}
    assert kinds & {type(make()) for make in ACTIVATIONS.values()} == {nn.ELU}


@pytest.mark.parametrize("name", [name for name in MODELS if "pool" in MODELS[name].options])
def test_the_pool_asked_for_is_the_only_one(name: str) -> None:
    def kinds(pool: str) -> set[type[nn.Module]]:
        with torch.device("meta"):
            return {type(module) for module in build(name, COLOUR, pool=pool).modules()}

    assert kinds("avg") & {nn.MaxPool2d, nn.AvgPool2d} == {nn.AvgPool2d}
    assert kinds("max") & {nn.MaxPool2d, nn.AvgPool2d} == {nn.MaxPool2d}


@pytest.mark.parametrize("name", [name for name in MODELS if "batch_norm" in MODELS[name].options])
@pytest.mark.parametrize("pictures", [COLOUR, LARGE], ids=["small", "large"])
def test_batch_norm_follows_every_convolution_in_its_sequential(name: str, pictures: ImageSpec) -> None:
    with torch.device("meta"):
        model = build(name, pictures, batch_norm=True)
    chains = [[*module.children()] for module in model.modules() if isinstance(module, nn.Sequential)]
    followers = [type(b) for chain in chains for a, b in pairwise(chain) if isinstance(a, nn.Conv2d)]
    assert followers == [nn.BatchNorm2d] * sum(isinstance(module, nn.Conv2d) for module in model.modules())
    assert not any(isinstance(module, nn.LocalResponseNorm) for module in model.modules())


@pytest.mark.parametrize("name", [name for name in MODELS if "dropout" in MODELS[name].options])
def test_dropout_acts_in_training_alone_and_keeps_the_names_of_the_weights(name: str) -> None:
    with global_seed(0):
        dropped, plain = build(narrow(name, dropout=0.5), GREY), build(narrow(name, dropout=0.0), GREY)
        plain.load_state_dict(dropped.state_dict())
        images = torch.rand(4, *GREY.shape)
        with evaluating(dropped), evaluating(plain), torch.no_grad():
            torch.testing.assert_close(dropped(images), plain(images))
            for module in dropped.modules():
                module.training = isinstance(module, nn.Dropout)
            assert not torch.allclose(dropped(images), plain(images))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    def weights(seed: int) -> torch.Tensor:
        with global_seed(seed):
            return nn.utils.parameters_to_vector(build("lenet5", GREY).parameters())

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gain_restores_the_power_of_a_normal_signal(name: ActivationName) -> None:
    signal = torch.randn(200_000, generator=seeded(0))
    assert (gain(name) * ACTIVATIONS[name]()(signal)).square().mean() == pytest.approx(1, abs=0.02)
    assert gain("relu") == pytest.approx(2**0.5)


@pytest.mark.parametrize("activation", ["relu", "tanh", "elu"])
def test_initial_weights_neither_fade_nor_blow_up_over_thirteen_layers(activation: ActivationName) -> None:
    with global_seed(0), torch.no_grad():
        model = build("vgg16", spec(3, 16), width=0.5, activation=activation)
        signal = torch.randn(4, 3, 16, 16)
        for conv in model.net.modules():
            if isinstance(conv, nn.Conv2d):
                # Padding by zeros would drain the border.
                around = F.pad(signal, (1, 1, 1, 1), mode="circular")
                signal = ACTIVATIONS[activation]()(F.conv2d(around, conv.weight, conv.bias))
    assert 0.3 < gain(activation) ** 2 * signal.square().mean() < 3


def test_a_config_rebuilds_the_model_that_remembers_it() -> None:
    model = build("mlp", GREY, hidden=(30, 20), dropout=0.1)
    again = build(model.config, model.spec)
    assert again.config == ModelConfig(name="mlp", hidden=(30, 20), dropout=0.1)
    again.load_state_dict(model.state_dict())
    images = torch.rand(2, *GREY.shape)
    with evaluating(model), evaluating(again):
        assert torch.equal(model(images), again(images))


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].smallest > 1])
def test_smallest_is_where_the_geometry_ends(name: str) -> None:
    architecture = MODELS[name]
    with torch.device("meta"):
        build(name, spec(1, architecture.smallest))
        with pytest.raises(ValueError, match="does not fit into"):
            architecture.make(spec(1, architecture.smallest - 1), 10)
        with pytest.raises(ValueError, match=f"{name} takes images of at least .*, got 40x{architecture.smallest - 1}"):
            build(name, spec(1, 40, architecture.smallest - 1))


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].smallest == 1])
def test_a_network_without_a_smallest_size_takes_a_single_pixel(name: str) -> None:
    assert describe(name, spec(1, 1)).layers[-1].output == (10,)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("resnet81", {}, r"unknown model 'resnet81' \(did you mean 'resnet18'\?\); known: logistic, mlp"),
        ("lenet5", {"drop_out": 0.5}, r"unknown model option 'drop_out' \(did you mean 'dropout'\?\)"),
        ("logistic", {"batch_norm": True}, "logistic has no option 'batch_norm'; it has: none"),
        ("resnet18", {"pool": "avg"}, "resnet18 has no option 'pool'; it has: dropout, activation, width"),
        ("vgg11", {"rbf_output": True}, "vgg11 has no option 'rbf_output'; it has: dropout, batch_norm"),
        ("lenet5", {"single_logit": True}, "single_logit needs exactly two classes, got 10"),
        ("mlp", {"dropout": 1.0}, r"dropout .* must lie in \[0, 1\), got 1"),
        ("mlp", {"width": 0.0}, "width .* must be positive, got 0"),
        ("mlp", {"activation": "swish"}, "unknown activation 'swish'; known: relu, leaky_relu"),
        ("smallcnn", {"pool": "min"}, "unknown pool 'min'; known: max, avg"),
        ("mlp", {"hidden": ()}, r"hidden needs at least one layer .* got \(\)"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(name: str, options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        build(name, GREY, **options)
    assert "\n" not in str(caught.value)


def test_dropout_may_have_a_share_for_every_place() -> None:
    net = build("smallcnn", GREY, dropout=(0.1, 0.2, 0.5)).net
    assert [module.p for module in net.modules() if isinstance(module, nn.Dropout)] == [0.1, 0.2, 0.5]
    plain, dropped = build("smallcnn", GREY), build("smallcnn", GREY, dropout=(0.0, 0.2, 0.0))
    assert plain.state_dict().keys() == dropped.state_dict().keys()


def test_too_few_shares_of_dropout_are_refused() -> None:
    with pytest.raises(ValueError, match="dropout of smallcnn has 3 places, got 2 shares"):
        build("smallcnn", GREY, dropout=(0.1, 0.2))
