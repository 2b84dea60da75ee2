"""What is frozen stays as it is, bit for bit, whatever trains the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from fitting import QUICK, fresh, parts, same, weights
from torch import Tensor, nn

from robustcnn import Augment, FitConfig, OptimConfig, ThreatModel, build, fit
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.data.resident import ResidentDataset, spec_of
from robustcnn.models import MODELS, PixelModel
from robustcnn.models.pretrained import network
from robustcnn.train import Adversarial, Fast, Free, Trades
from robustcnn.train.freezing import frozen_layers, head_of, holders, weighted
from robustcnn.train.optimisation.optim import Optimizer

THREAT = ThreatModel(norm="linf", eps=0.1)
ADVERSARIES = {
    "standard": {},
    "averaged": {"ema": 0.8},
    "penalised": {"l1": 1.0, "l2": 1.0, "clip": 1.0, "optim": OptimConfig(name="adamw", lr=0.01)},
    "slow trunk": {"optim": OptimConfig(lr=0.05, trunk_lr=0.1)},
    "adversarial": {"objective": Adversarial(threat=THREAT, steps=2)},
    "fast": {"objective": Fast(threat=THREAT, grad_align=0.2)},
    "free": {"objective": Free(threat=THREAT, replays=2)},
    "perturbed weights": {"objective": Trades(threat=THREAT, steps=2), "awp": 0.01, "ema": 0.8},
}
"""Options beside `freeze`."""


def under(layers: dict[str, nn.Module], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[0] in layers}


@pytest.mark.parametrize("options", ADVERSARIES.values(), ids=ADVERSARIES)
@pytest.mark.parametrize("freeze", ["features", "first:1"])
def test_frozen_layers_keep_every_bit_and_the_others_move(freeze: str, options: dict[str, object]) -> None:
    train, validation = parts()
    model = fresh(train, "bncnn", width=0.125)
    before, layers = weights(model), frozen_layers(model, freeze)
    list(fit(model, train, validation, replace(QUICK, epochs=2, freeze=freeze, **options), progress=False))
    after = weights(model)
    assert any("running_mean" in name for name in under(layers, before))
    assert same(under(layers, before), under(layers, after))
    learnt = [name for name, _ in model.named_parameters() if name not in under(layers, before)]
    assert learnt
    assert not any(torch.equal(before[name], after[name]) for name in learnt)


def test_without_freezing_batch_norm_would_move() -> None:
    train, validation = parts()
    model = fresh(train, "bncnn", width=0.125)
    before = weights(model)
    list(fit(model, train, validation, replace(QUICK, epochs=1), progress=False))
    assert not any(torch.equal(before[name], tensor) for name, tensor in weights(model).items() if "running" in name)


def test_after_training_all_weights_want_gradients_again_also_when_it_was_abandoned() -> None:
    train, validation = parts()
    for taken in (1, 2):
        model = fresh(train)
        epochs = fit(model, train, validation, replace(QUICK, epochs=2, freeze="features"), progress=False)
        for _ in range(taken):
            next(epochs)
        assert [each.requires_grad for each in model.parameters()].count(True) == 2
        epochs.close()  # type: ignore[attr-defined]
        assert all(each.requires_grad for each in model.parameters())


def pictures(size: int) -> ResidentDataset:
    labels = torch.arange(6) % 3
    images = torch.randint(0, 256, (6, 1, size, size), dtype=torch.uint8, generator=seeded(0))
    return ResidentDataset(images=images, labels=labels, spec=spec_of(images, ("a", "b", "c")))


def small(name: str, data: ResidentDataset) -> PixelModel:
    width = {"width": 1 / 8} if "width" in MODELS[name].options else {}
    with global_seed(0):
        return build(name, data.spec, **width)


@pytest.mark.parametrize("name", MODELS)
def test_every_network_trains_its_head_on_frozen_features(name: str) -> None:
    data = pictures(max(12, MODELS[name].smallest))
    model = small(name, data)
    before, head = weights(model), head_of(model)
    list(fit(model, data, data, FitConfig(epochs=1, batch_size=6, freeze="features"), progress=False))
    moved = {key for key, tensor in weights(model).items() if not torch.equal(tensor, before[key])}
    assert moved == {f"{head}.weight", f"{head}.bias"}


def met(model: nn.Module, images: Tensor) -> list[str]:
    """Layers in the order in which a picture really passes them."""
    order: list[str] = []
    for name, layer in holders(model).items():
        layer.register_forward_pre_hook(lambda *_, name=name: order.append(name))
    with torch.no_grad():
        model.eval()(images)
    return order


@pytest.mark.parametrize("name", MODELS)
def test_the_first_layers_are_those_that_a_picture_meets_first(name: str) -> None:
    data = pictures(max(12, MODELS[name].smallest))
    model = small(name, data)
    listed, order = list(holders(model)), met(model, data.images / 255)
    # Beside a residual body its shortcut is met at the same time.
    assert [name for name in order if "shortcut" not in name] == [name for name in listed if "shortcut" not in name]
    assert [name.split(".")[1] for name in order] == [name.split(".")[1] for name in listed]
    assert isinstance(model.get_submodule(head_of(model)), nn.Linear)


@pytest.mark.parametrize("name", ["squeezenet1_0", "resnet18"])
def test_so_are_those_of_torchvisions_networks(name: str) -> None:
    net = network(name, classes=3)
    order = met(net, torch.rand(1, 3, 64, 64))
    assert order == list(holders(net))


def test_first_k_counts_layers_with_weights_and_what_normalises_them() -> None:
    model = fresh(parts()[0], "bncnn", width=0.125)
    known = weighted(model)
    for count in range(1, len(known) + 1):
        frozen = frozen_layers(model, f"first:{count}")
        assert [name for name in known if name in frozen] == known[:count]
        norms = [layer for layer in frozen.values() if isinstance(layer, nn.BatchNorm2d)]
        convolutions = [layer for layer in frozen.values() if isinstance(layer, nn.Conv2d)]
        assert len(norms) == len(convolutions)
    assert frozen_layers(model, f"first:{len(known)}") == frozen_layers(model, "features")
    assert frozen_layers(model, "none") == {}


def test_a_mistake_says_how_many_layers_there_are() -> None:
    model = fresh(parts()[0])
    count = len(weighted(model))
    with pytest.raises(ValueError, match=f"freeze 'first:9': the model has {count} layers with weights before its"):
        frozen_layers(model, "first:9")
    for wrong in ("first:0", "first", "feature", "last:2"):
        with pytest.raises(ValueError, match=r"freeze must be none, features .* or first:K .*, got '" + wrong):
            FitConfig(freeze=wrong)


def test_a_head_without_weights_leaves_nothing_to_train() -> None:
    model = build("lenet5", pictures(28).spec, rbf_output=True)
    with pytest.raises(ValueError, match=r"freeze .features. leaves nothing to train: the last layer, net\.output"):
        frozen_layers(model, "features")


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_step_moves_the_trunk_by_its_share_of_the_rate(decay: float) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    config = OptimConfig(name="sgd", lr=0.5, momentum=0.0, trunk_lr=0.1, schedule="constant", weight_decay=decay)
    optimizer = Optimizer(model, config, total_steps=1)
    loss = model(torch.ones(1, 3)).square().sum()
    loss.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}  # type: ignore[union-attr]
    assert optimizer.step(0) == 0.5
    for name, parameter in model.named_parameters():
        rate = 0.05 if name.startswith("0.") else 0.5
        shrunk = before[name] * (1 - rate * decay) if name.endswith("weight") else before[name]
        torch.testing.assert_close(parameter.detach(), shrunk - rate * gradients[name])


def test_a_schedule_moves_both_rates_in_proportion() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    optimizer = Optimizer(model, OptimConfig(lr=0.5, trunk_lr=0.1, schedule="one-cycle"), total_steps=10)
    rates = []
    for step in range(10):
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step(step)
        rates.append([group["lr"] for group in optimizer.torch.param_groups])
    assert len({round(high, 6) for _, high in rates}) > 5
    assert [low for low, _ in rates] == pytest.approx([0.1 * high for _, high in rates])


def test_a_trunk_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"trunk_lr must be a positive share of lr, got 0 \(fit.freeze stops layers\)"):
        OptimConfig(trunk_lr=0.0)


def test_frozen_training_sees_pictures_in_augmented_form_all_the_same() -> None:
    train, validation = parts()
    model = fresh(train)
    config = replace(QUICK, freeze="features", augment=Augment(shift=1), epochs=8)
    history = list(fit(model, train, validation, config, progress=False))
    assert history[-1].train_loss < history[0].train_loss
