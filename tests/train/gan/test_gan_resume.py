"""A pre-training that is interrupted goes on as if it had not been, and what it leaves on disk is data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from gan_examples import TINY, blobs, networks, same, weights

from robustcnn.core.runtime import seeded
from robustcnn.models import PixelModel
from robustcnn.models.dcgan import DcganConfig, classifier_from
from robustcnn.train.gan.checkpoint import PAGE, load_discriminator, load_generator, read_page
from robustcnn.train.gan.loop import pretrain
from robustcnn.train.gan.metrics import GanMetrics
from robustcnn.train.gan.settings import GanConfig

QUICK = GanConfig(epochs=3, batch_size=32, samples=40)
NORMED = replace(TINY, spectral_norm=True)


class Killed(BaseException):
    """Stands for a process that ends between two system calls."""


def timeless(history: list[GanMetrics]) -> list[GanMetrics]:
    return [replace(metrics, seconds=0.0, images_per_second=0.0) for metrics in history]


@pytest.mark.parametrize(
    ("model", "config"),
    [(TINY, QUICK), (NORMED, replace(QUICK, loss="hinge", generator_lr=1e-3))],
    ids=["bce", "hinge and spectral norm"],
)
@pytest.mark.parametrize("after", [1, 2])
def test_resuming_after_an_epoch_changes_nothing(
    tmp_path: Path, model: DcganConfig, config: GanConfig, after: int
) -> None:
    data = blobs()
    whole, resumed = networks(data, model), networks(data, model)
    history = list(pretrain(*whole, data, config, progress=False))
    broken = pretrain(*networks(data, model), data, config, folder=tmp_path, progress=False)
    for _ in range(after):
        next(broken)
    rest = list(pretrain(*resumed, data, config, folder=tmp_path, resume=True, progress=False))
    assert timeless(rest) == timeless(history[after:])
    assert same(weights(*whole), weights(*resumed))


def test_dying_at_any_write_leaves_a_checkpoint_that_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, config = blobs(), replace(QUICK, epochs=2)
    whole = networks(data)
    list(pretrain(*whole, data, config, progress=False))
    real = {"replace": Path.replace, "unlink": Path.unlink}
    # Four files an epoch: the first's third and page, the second's first and page; then three old ones are removed.
    for fatal in (3, 4, 5, 8, 9, 11):
        calls = 0

        def counted(name: str, fatal: int = fatal) -> object:
            def call(path: Path, *arguments: object, **options: object) -> object:
                nonlocal calls
                calls += 1
                if calls == fatal:
                    raise Killed
                return real[name](path, *arguments, **options)  # type: ignore[operator]

            return call

        folder = tmp_path / str(fatal)
        training = pretrain(*networks(data), data, config, folder=folder, progress=False)
        with monkeypatch.context() as patch:
            for name in real:
                patch.setattr(Path, name, counted(name))
            with pytest.raises(Killed):
                list(training)
        resumed = networks(data)
        started = (folder / PAGE).exists()
        list(pretrain(*resumed, data, config, folder=folder, resume=started, progress=False))
        assert same(weights(*whole), weights(*resumed)), f"died at write {fatal}"


def trained(folder: Path, model: DcganConfig = TINY) -> PixelModel:
    data = blobs()
    generator, judge = networks(data, model)
    list(pretrain(generator, judge, data, replace(QUICK, epochs=1), folder=folder, progress=False))
    return judge.eval()


@pytest.mark.parametrize("model", [TINY, NORMED], ids=["plain", "normed"])
def test_both_networks_come_back_from_disk(tmp_path: Path, model: DcganConfig) -> None:
    data, folder = blobs(), tmp_path / "run"
    generator, judge = networks(data, model)
    list(pretrain(generator, judge, data, QUICK, folder=folder, progress=False))
    again_generator, again = load_generator(folder), load_discriminator(str(folder))
    assert not again.training
    assert not again_generator.training
    images, latents = torch.rand(4, *data.spec.shape, generator=seeded(0)), torch.randn(4, 8, generator=seeded(0))
    with torch.no_grad():
        torch.testing.assert_close(again(images), judge.eval()(images))
        torch.testing.assert_close(again_generator(latents), generator.eval()(latents))
        assert classifier_from(again, data.spec)(images).shape == (4, 2)
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}
    assert len(list(folder.iterdir())) == 4, "older epochs' files are removed"


def test_other_data_another_config_and_another_network_are_refused(tmp_path: Path) -> None:
    data, config = blobs(), replace(QUICK, epochs=1)
    trained(tmp_path)

    def resumed(data: object, config: GanConfig, model: DcganConfig = TINY) -> None:
        list(pretrain(*networks(blobs(), model), data, config, folder=tmp_path, resume=True))  # type: ignore[arg-type]

    with pytest.raises(ValueError, match=r"it was started with lr = 0.0002, not 0.001"):
        resumed(data, replace(config, lr=1e-3))
    with pytest.raises(ValueError, match=r"it was started with model.spectral_norm = False, not True"):
        resumed(data, config, NORMED)
    with pytest.raises(ValueError, match="it was trained on other data than these"):
        resumed(blobs(64), config)
    with pytest.raises(ValueError, match="resume needs the folder"):
        next(pretrain(*networks(data), data, config, resume=True))


def test_a_folder_without_a_whole_checkpoint_is_refused_with_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no pre-training: it has no gan.json \(`robustcnn pretrain`"):
        load_discriminator(tmp_path)
    trained(tmp_path)
    stored = tmp_path / read_page(tmp_path).discriminator.name
    content = stored.read_bytes()
    stored.write_bytes(content[:-1] + b"\x00")
    with pytest.raises(ValueError, match=r"is damaged: its bytes do not match the digest in gan.json"):
        load_discriminator(tmp_path)
    stored.unlink()
    with pytest.raises(FileNotFoundError, match=r"gan.json names it \(was the folder copied only in part\?\)"):
        load_discriminator(tmp_path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"version": 2}, "is of version 2, this robustcnn reads version 1"),
        ({"model": {"widht": 1}}, r"unknown key 'model.widht' \(did you mean 'width'\?\)"),
    ],
)
def test_a_page_of_another_form_is_refused(tmp_path: Path, change: dict[str, object], text: str) -> None:
    trained(tmp_path)
    page = json.loads((tmp_path / PAGE).read_text())
    (tmp_path / PAGE).write_text(json.dumps(page | change))
    with pytest.raises(ValueError, match=text):
        read_page(tmp_path)
    (tmp_path / PAGE).write_text("{")
    with pytest.raises(ValueError, match=r"gan.json is not JSON"):
        read_page(tmp_path)
