"""`robustcnn pretrain` as a user meets it."""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image

from robustcnn.cli.main import main
from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.core.results import EpochMetrics
from robustcnn.report.contact_sheet import sheet
from robustcnn.report.plots import gan_curves, png
from robustcnn.runs import pretrain as pretraining
from robustcnn.runs.config_file import read_toml
from robustcnn.runs.presets import GAN_PRESETS
from robustcnn.runs.pretrain import PICTURES
from robustcnn.runs.pretrain_config import PRETRAINING, PretrainConfig
from robustcnn.tracking import Tracker, read_place
from robustcnn.tracking.names import epoch_points
from robustcnn.train.gan.checkpoint import load_discriminator, read_page
from robustcnn.train.gan.metrics import GanMetrics

TINY = ["--data.limit", "150", "--data.size", "16", "--model.width", "0.06", "--fit.samples", "40", "--threads", "1"]


def pretrain(folder: Path, *options: str, epochs: int = 2) -> int:
    return main(["pretrain", "digits-dcgan", *TINY, "--fit.epochs", str(epochs), "--runs", str(folder), *options])


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


def test_a_run_leaves_networks_pictures_and_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pretrain(tmp_path, "--name", "one", "--no-track") == 0
    told = capsys.readouterr().out.splitlines()
    assert re.match(
        r"run one: DCGAN \(generator [\d,]+, discriminator [\d,]+ parameters\) on 150 images of digits", told[0]
    )
    assert told[1].split()[:3] == ["epoch", "gen.", "loss"]
    assert [line.split()[0] for line in told[2:4]] == ["1", "2"]
    assert told[-1].startswith("after 2 epochs: diversity ")
    folder = tmp_path / "one"
    pictures = {path.name for path in (folder / PICTURES).iterdir()}
    assert pictures == {"epoch-0001.png", "epoch-0002.png", "interpolation.png", "curves.png"}
    with Image.open(folder / PICTURES / "epoch-0002.png") as page:
        assert page.width == page.height == 8 * (96 + 4)
    assert load_discriminator(folder).spec.shape == (1, 16, 16)
    assert not (folder / "checkpoint.json").exists()
    record = json.loads((folder / PRETRAINING.record).read_text())
    assert to_plain(from_plain(PretrainConfig, record["config"])) == record["config"]
    assert set(record["made_by"]) >= {"torch", "commit"}
    assert "a run named 'one' is there already" in mistake(
        capsys, "pretrain", *TINY, "--name", "one", "--runs", str(tmp_path)
    )


def test_a_resumed_run_ends_as_one_that_was_never_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pretrain(tmp_path, "--name", "whole", "--no-track") == 0
    drawn = pretraining._picture

    def stopped(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pretraining, "_picture", stopped)
    assert pretrain(tmp_path, "--name", "broken", "--no-track") == 130
    monkeypatch.setattr(pretraining, "_picture", drawn)
    assert [each.epoch for each in read_page(tmp_path / "broken").history] == [1]
    assert main(["pretrain", "--resume", "broken", "--runs", str(tmp_path)]) == 0
    ours, theirs = (load_discriminator(tmp_path / name).state_dict() for name in ("whole", "broken"))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    pages = [(tmp_path / name / PICTURES / "epoch-0001.png").read_bytes() for name in ("whole", "broken")]
    assert pages[0] == pages[1], "the picture that was not drawn is drawn later"


def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pretraining, "_picture", stopped)
    assert pretrain(tmp_path, "--name", "mine", "--no-track") == 130
    assert f"continue with: robustcnn pretrain --resume mine --runs {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["digits-dcgam"], "unknown preset 'digits-dcgam' (did you mean 'digits-dcgan'?)"),
        (["--fit.epoch", "3"], "did you mean --fit.epochs?"),
        (["--fit.loss", "hing"], "hing"),
        (["--fit.lr", "-1"], "lr must be a positive number, got -1"),
        (["--model.latent", "0"], "latent must be at least 1 number, got 0"),
        (
            ["--data.size", "30", "--no-track"],
            "the sides must be multiples of 4, got 30x30 (--data.size 28, 32, 48 or 64)",
        ),
        (
            ["--data.size", "7", "--no-track"],
            "does not fit into 7x7 pixels (enlarge the images: --data.size 8 or more)",
        ),
        (["--judge", "absent", "--no-track"], "absent is no checkpoint"),
        (["--resume", "absent"], "absent holds no pre-training: it has no pretrain.json"),
        (["--resume", "x", "--fit.epochs", "3"], "--resume keeps the run's own config"),
        (["--name", "a/b"], "name must be a plain folder name, got 'a/b'"),
        (["--threads", "0"], "threads must be at least 1, got 0"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_cure(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in mistake(capsys, "pretrain", *arguments)
    assert not list(tmp_path.rglob("*.json")), "a mistake leaves no run behind"


def test_an_alarm_is_one_line_at_once_and_again_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    beaten = ["--fit.lr", "0.01", "--fit.generator-lr", "1e-8", "--name", "one", "--no-track"]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert pretrain(tmp_path, *beaten, epochs=6) == 0
    told = capsys.readouterr()
    (said,) = [line for line in told.err.splitlines() if "has won" in line]
    assert re.match(r"robustcnn: epoch \d: the discriminator has won: for 5 epochs", said)
    assert f"beware: {said.removeprefix('robustcnn: ')}" in told.out.splitlines()


def test_a_toml_file_sets_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[fit]\nloss = "hinge"\n[model]\nspectral_norm = true\n')
    config = read_toml(file, GAN_PRESETS["fashion-dcgan"].config)
    assert (config.fit.loss, config.model.spectral_norm, config.data.name) == ("hinge", True, "fashion-mnist")


class Listening(Tracker):
    """Notes what it is told."""

    def __init__(self, folder: Path, **_: object) -> None:
        self.folder, self.epochs, self.files, self.said = folder, [], [], {}
        LISTENERS.append(self)

    def epoch(self, metrics: EpochMetrics | GanMetrics) -> None:
        self.epochs.append(epoch_points(metrics))

    def tags(self, tags: Mapping[str, object]) -> None:
        self.said |= tags

    def artifact(self, path: Path | str, *, content: bytes | None = None, under: str = "") -> None:  # noqa: ARG002
        assert (self.folder / path).is_file()
        self.files.append((str(path), under))

    def checkpoint(self) -> None:
        self.files.append(("checkpoint", ""))


LISTENERS: list[Listening] = []


def test_what_a_run_says_reaches_the_tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining, "SpooledTracker", Listening)
    assert pretrain(tmp_path, "--name", "one") == 0
    heard = LISTENERS.pop()
    assert [{point.step for point in points} for points in heard.epochs] == [{1}, {2}]
    keys = {point.key for point in heard.epochs[0]}
    assert {"gan/generator_loss", "gan/discriminator_loss", "gan/diversity", "gan/frechet"} <= keys
    pictures = [
        (f"{PICTURES}/{name}.png", PICTURES) for name in ("epoch-0001", "epoch-0002", "interpolation", "curves")
    ]
    assert heard.files == [*pictures, ("checkpoint", "")]
    assert (heard.said["alarms"], heard.said["kind"]) == ("none", "pre-training")


@pytest.mark.slow
def test_mlflow_shows_curves_and_pictures(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    assert pretrain(tmp_path / "checkpoints", "--name", "one") == 0
    place = read_place(tmp_path / "checkpoints" / "one")
    assert place is not None
    client = MlflowClient(place.tracking_uri)
    assert [point.step for point in client.get_metric_history(place.run_id, "gan/generator_loss")] == [1, 2]
    shown = {each.path for each in client.list_artifacts(place.run_id, PICTURES)}
    assert {f"{PICTURES}/epoch-0001.png", f"{PICTURES}/interpolation.png", f"{PICTURES}/curves.png"} <= shown


def test_a_sheet_shows_every_picture_row_by_row() -> None:
    images = torch.zeros(5, 3, 8, 8)
    images[3, 0] = 1
    page = Image.open(io.BytesIO(sheet(images, columns=3, largest=16)))
    assert page.size == (3 * 20, 2 * 20)
    colours = [page.getpixel((20 * column + 8, 20 * row + 10)) for row in range(2) for column in range(3)]
    assert colours == [(0, 0, 0)] * 3 + [(255, 0, 0), (0, 0, 0), (255, 255, 255)]


def test_the_curves_show_what_was_told(tmp_path: Path) -> None:
    assert pretrain(tmp_path, "--name", "one", "--no-track", epochs=1) == 0
    history = read_page(tmp_path / "one").history
    figure = gan_curves(history * 3)
    lines = {line.get_label(): list(line.get_ydata()) for axes in figure.axes for line in axes.get_lines()}
    assert lines["generator"] == [history[0].generator_loss] * 3
    assert lines["real images"] == [history[0].accuracy_on_real] * 3
    assert png(figure).startswith(b"\x89PNG")
