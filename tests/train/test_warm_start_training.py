"""Training that starts from weights learnt elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fitting import QUICK, bars, fresh, parts, same, weights
from test_freezing import small
from torch import Tensor

from robustcnn import FitConfig, OptimConfig, ResidentDataset, ThreatModel, build, fit, load_checkpoint
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.data.resident import spec_of
from robustcnn.models import MODELS, ModelConfig, PixelModel
from robustcnn.models.checkpoint import read_page
from robustcnn.models.dcgan import DcganConfig, Generator, discriminator
from robustcnn.models.pretrained import network
from robustcnn.train import Adversarial
from robustcnn.train.freezing import head_of
from robustcnn.train.gan.loop import pretrain
from robustcnn.train.gan.settings import GanConfig
from robustcnn.train.warm_start import Source, Started, read_source, start

ONE = FitConfig(epochs=1, batch_size=6)


def pictures(size: int = 12, *, classes: str = "abc", channels: int = 1) -> ResidentDataset:
    labels = torch.arange(6) % len(classes)
    images = torch.randint(0, 256, (6, channels, size, size), dtype=torch.uint8, generator=seeded(0))
    return ResidentDataset(images=images, labels=labels, spec=spec_of(images, tuple(classes)))


def trained(model: PixelModel, data: ResidentDataset, folder: Path) -> PixelModel:
    list(fit(model, data, data, ONE, folder=folder, progress=False))
    return model


def begun(folder: Path, data: ResidentDataset, **changes: object) -> Started:
    source = read_source(str(folder))
    with global_seed(7):
        return start(source, replace(source.model.config, **changes), data.spec)


def trunk(model: PixelModel) -> dict[str, Tensor]:
    head = head_of(model)
    return {name: tensor for name, tensor in weights(model).items() if name.rpartition(".")[0] != head}


@pytest.mark.parametrize("name", MODELS)
def test_every_network_hands_on_all_layers_but_the_last(name: str, tmp_path: Path) -> None:
    data = pictures(max(12, MODELS[name].smallest))
    model = trained(small(name, data), data, tmp_path)
    started = begun(tmp_path, pictures(data.spec.height, classes="de"))
    assert same(trunk(model), trunk(started.model))
    assert not started.kept_head
    assert started.why == "the classes are others: a, b, c, now d, e"
    assert started.model.get_submodule(head_of(started.model)).out_features == 2
    with torch.no_grad():
        assert started.model(data.images / 255).shape == (6, 2)


def test_with_the_same_classes_the_last_layer_is_kept_too(tmp_path: Path) -> None:
    data = pictures()
    model = trained(fresh(data), data, tmp_path)
    started = begun(tmp_path, data, dropout=0.5)
    assert started.kept_head
    assert same(weights(model), weights(started.model))
    assert started.model.config.dropout == 0.5


def test_a_last_layer_of_another_shape_is_new(tmp_path: Path) -> None:
    data = pictures(classes="ab")
    trained(fresh(data), data, tmp_path)
    started = begun(tmp_path, data, single_logit=True)
    assert (started.kept_head, started.why) == (False, "it is of another shape")


def test_pixels_are_normalised_as_the_source_saw_them(tmp_path: Path) -> None:
    data = pictures()
    model = trained(fresh(data), data, tmp_path)
    darker = replace(data.spec, mean=(0.1,), std=(0.1,))
    started = begun(tmp_path, replace(data, spec=darker))
    assert started.model.spec.mean == data.spec.mean
    assert torch.equal(started.model.mean, model.mean)


def test_a_source_is_named_by_the_digest_of_its_best_weights(tmp_path: Path) -> None:
    data = pictures()
    trained(fresh(data), data, tmp_path / "first")
    by_folder, by_name = read_source(str(tmp_path / "first")), read_source("first", tmp_path)
    assert by_folder.name == by_name.name == "first"
    assert by_folder.sha256 == read_page(tmp_path / "first").best.sha256
    with pytest.raises(FileNotFoundError, match=r"init_from 'frist': neither .*did you mean 'first'\?"):
        read_source("frist", tmp_path)
    with pytest.raises(ValueError, match="weights is the file for init_from torchvision:NAME; first has its own"):
        read_source("first", tmp_path, weights=Path("file.pth"))


@pytest.mark.parametrize(
    ("data", "changes", "said"),
    [
        (
            pictures(channels=3),
            {},
            "at layer 0.0: its weight is (3, 1, 5, 5), the model wants (3, 3, 5, 5)",
        ),
        (pictures(channels=3), {}, "it saw grey pictures: pass --data.grey"),
        (pictures(16), {}, "it saw 12x12 pixels, these are 16x16: pass --data.size 12"),
        (pictures(), {"width": 0.2}, "it is a smallcnn width 0.1, the model a smallcnn width 0.2: leave out --model"),
        (pictures(), {"name": "bncnn"}, "it is a smallcnn width 0.1, the model a bncnn width 0.1: leave out --model"),
    ],
)
def test_what_does_not_fit_is_named_with_the_cure(
    tmp_path: Path, data: ResidentDataset, changes: dict[str, object], said: str
) -> None:
    seen = pictures()
    trained(fresh(seen), seen, tmp_path)
    with pytest.raises(ValueError, match=re.escape(said)):
        begun(tmp_path, data, **changes)


def test_a_discriminator_hands_on_its_trunk_and_never_its_head(tmp_path: Path) -> None:
    data, config = pictures(16), DcganConfig(width=0.05, spectral_norm=True)
    with global_seed(0):
        pair = Generator(data.spec, config), discriminator(data.spec, config)
    list(pretrain(*pair, data, GanConfig(epochs=1, batch_size=6, samples=6), folder=tmp_path, progress=False))
    source = read_source(str(tmp_path))
    started = begun(tmp_path, data)
    assert (started.kept_head, started.why) == (False, "a discriminator's tells real from generated")
    with torch.no_grad():
        judge, ours = pair[1].eval(), started.model.eval()
        pixels = (data.images / 255 - judge.mean) / judge.std
        torch.testing.assert_close(ours.net[:-1](pixels), judge.net[:-1](pixels))  # type: ignore[index]
    assert same(trunk(source.model), trunk(started.model))


def torchvision_source(folder: Path) -> Source:
    with global_seed(0):
        torch.save(network("squeezenet1_0").state_dict(), folder / "mine.pth")
    return read_source("torchvision:squeezenet1_0", weights=folder / "mine.pth")


def test_torchvisions_weights_are_trained_further_and_kept_as_any_other(tmp_path: Path) -> None:
    source, data = torchvision_source(tmp_path), pictures(40, channels=3)
    started = start(source, source.model.config, data.spec)
    assert started.model.spec.mean == (0.485, 0.456, 0.406)
    list(fit(started.model, data, data, replace(ONE, freeze="features"), folder=tmp_path / "run", progress=False))
    again = load_checkpoint(tmp_path / "run")
    assert again.config == ModelConfig(name="torchvision:squeezenet1_0")
    assert same(trunk(source.model) | {"mean": again.mean, "std": again.std}, trunk(again))
    assert same(weights(started.model), weights(again))


def test_starting_draws_nothing_but_the_new_network(tmp_path: Path) -> None:
    data = pictures()
    trained(fresh(data), data, tmp_path)
    source, heads = read_source(str(tmp_path)), []
    for _ in range(2):
        with global_seed(3):
            heads.append(weights(start(source, source.model.config, pictures(classes="de").spec).model))
    assert same(*heads)


@pytest.mark.parametrize(
    "options",
    [
        {"freeze": "features"},
        {"freeze": "first:1", "optim": OptimConfig(lr=0.05, trunk_lr=0.1), "ema": 0.9},
        {"optim": OptimConfig(name="adamw", lr=0.003, trunk_lr=0.2)},
        {"freeze": "first:1", "objective": Adversarial(threat=ThreatModel(norm="linf", eps=0.1), steps=2), "awp": 0.01},
    ],
    ids=["frozen", "slow trunk, averaged", "adamw", "adversarial"],
)
def test_resuming_changes_nothing(tmp_path: Path, options: dict[str, object]) -> None:
    train, validation = parts()
    first = bars(classes=3)
    trained(fresh(first, "bncnn", width=0.125), first, tmp_path / "source")
    config = replace(QUICK, epochs=3, **options)
    whole = begun(tmp_path / "source", train).model
    list(fit(whole, train, validation, config, folder=tmp_path / "whole", progress=False))
    broken = fit(begun(tmp_path / "source", train).model, train, validation, config, folder=tmp_path / "broken")
    next(broken)
    broken.close()  # type: ignore[attr-defined]
    resumed = load_checkpoint(tmp_path / "broken", which="last")
    list(fit(resumed, train, validation, config, folder=tmp_path / "broken", resume=True, progress=False))
    assert same(weights(whole), weights(resumed))
    assert resumed.spec == whole.spec


def test_a_checkpoint_of_before_there_was_freezing_can_be_resumed(tmp_path: Path) -> None:
    train, validation = parts()
    list(fit(fresh(train), train, validation, replace(QUICK, epochs=1), folder=tmp_path, progress=False))
    page = tmp_path / "checkpoint.json"
    text = re.sub(r' *"(freeze|trunk_lr)": [^\n]*,\n', "", page.read_text())
    assert "freeze" not in text
    page.write_text(text)
    list(fit(fresh(train), train, validation, replace(QUICK, epochs=1), folder=tmp_path, resume=True))
    with pytest.raises(ValueError, match="it was started with freeze = 'none', not 'features'"):
        list(
            fit(
                fresh(train),
                train,
                validation,
                replace(QUICK, epochs=1, freeze="features"),
                folder=tmp_path,
                resume=True,
            )
        )


def test_build_knows_torchvisions_networks() -> None:
    model = build("torchvision:squeezenet1_0", pictures(40, channels=3).spec)
    assert model(torch.rand(1, 3, 40, 40)).shape == (1, 3)
    with pytest.raises(ValueError, match="torchvision has no ImageNet classifier 'squeezenet'"):
        build("torchvision:squeezenet", pictures(40, channels=3).spec)
