"""Whatever kills a training, going on gives the weights of one that was never interrupted."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fitting import QUICK, bars, fresh, parts, same, weights
from torch import Tensor

from robustcnn import Augment, OptimConfig, ThreatModel, fit, load_checkpoint
from robustcnn.models import checkpoint
from robustcnn.models.checkpoint import PAGE, read_page
from robustcnn.train import Adversarial, Free, Trades

THREAT = ThreatModel(norm="linf", eps=0.1)
CONFIG = replace(QUICK, epochs=4, augment=Augment(shift=1), optim=OptimConfig(lr=0.05, schedule="cosine"))
TRICKY = {
    "momentum": CONFIG,
    "adam": replace(CONFIG, optim=OptimConfig(name="adam", lr=0.003, schedule="one-cycle")),
    "averaged": replace(CONFIG, ema=0.9),
    "adversarial": replace(CONFIG, objective=Adversarial(threat=THREAT, steps=2, warmup=0.6)),
    "free": replace(CONFIG, objective=Free(threat=THREAT, replays=2)),
    "perturbed weights": replace(CONFIG, objective=Trades(threat=THREAT, steps=2), awp=0.01),
}


class Killed(BaseException):
    """Stands for a process that ends between two system calls."""


@pytest.mark.parametrize("config", TRICKY.values(), ids=TRICKY)
@pytest.mark.parametrize("after", [1, 3])
def test_resuming_after_an_epoch_changes_nothing(tmp_path: Path, config: object, after: int) -> None:
    train, validation = parts()
    whole = fresh(train, "smallcnn", dropout=0.3)
    history = list(fit(whole, train, validation, config, folder=tmp_path / "whole"))
    broken = fit(fresh(train, "smallcnn", dropout=0.3), train, validation, config, folder=tmp_path / "broken")
    for _ in range(after):
        next(broken)
    resumed = fresh(train, "smallcnn", dropout=0.3)
    rest = list(fit(resumed, train, validation, config, folder=tmp_path / "broken", resume=True))
    assert [metrics.train_loss for metrics in rest] == [metrics.train_loss for metrics in history[after:]]
    assert same(weights(whole), weights(resumed))
    for which in ("best", "last"):
        assert same(*(weights(load_checkpoint(tmp_path / name, which=which)) for name in ("whole", "broken")))


def test_dying_at_any_write_leaves_a_checkpoint_that_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, validation = parts()
    config = replace(CONFIG, epochs=2)
    whole = fresh(train)
    list(fit(whole, train, validation, config, folder=tmp_path / "whole"))
    real_replace, real_unlink = Path.replace, Path.unlink
    for fatal in range(1, 9):
        calls = 0

        def counted(path: Path, *arguments: object, fatal: int = fatal, **options: object) -> None:
            nonlocal calls
            calls += 1
            if calls == fatal:
                raise Killed
            (real_replace if arguments else real_unlink)(path, *arguments, **options)  # type: ignore[operator]

        folder = tmp_path / str(fatal)
        training = fit(fresh(train), train, validation, config, folder=folder)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", counted)
            patch.setattr(Path, "unlink", counted)
            with pytest.raises(Killed):
                list(training)
        resumed = fresh(train)
        started = (folder / PAGE).exists()
        list(fit(resumed, train, validation, config, folder=folder, resume=started))
        assert same(weights(whole), weights(resumed)), f"killed at write {fatal}"
        assert same(weights(whole), weights(load_checkpoint(folder)))


def test_a_finished_training_resumes_to_nothing_more(tmp_path: Path) -> None:
    train, validation = parts()
    whole = fresh(train)
    list(fit(whole, train, validation, QUICK, folder=tmp_path))
    again = fresh(train)
    assert list(fit(again, train, validation, QUICK, folder=tmp_path, resume=True)) == []
    assert same(weights(whole), weights(again))


def test_resuming_with_another_config_or_other_data_is_refused(tmp_path: Path) -> None:
    train, validation = parts()
    list(fit(fresh(train), train, validation, QUICK, folder=tmp_path))
    changed = replace(QUICK, optim=OptimConfig(lr=0.1))
    with pytest.raises(ValueError, match=r"it was started with optim.lr = 0.05, not 0.1"):
        next(fit(fresh(train), train, validation, changed, folder=tmp_path, resume=True))
    with pytest.raises(ValueError, match="it was trained on other data"):
        next(fit(fresh(train), bars(100), validation, QUICK, folder=tmp_path, resume=True))


def test_only_the_files_that_the_page_names_stay(tmp_path: Path) -> None:
    train, validation = parts()
    list(fit(fresh(train), train, validation, CONFIG, folder=tmp_path))
    page = read_page(tmp_path)
    named = {page.best.name, page.last.name, page.training.name, PAGE}
    assert {path.name for path in tmp_path.iterdir()} == named
    assert len(page.history) == 4


def test_a_damaged_weights_file_is_named(tmp_path: Path) -> None:
    train, validation = parts()
    list(fit(fresh(train), train, validation, QUICK, folder=tmp_path))
    path = tmp_path / read_page(tmp_path).best.name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path.name} is damaged"):
        load_checkpoint(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{path.name} is missing"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("content", "text"), [("{", "is not JSON"), ("{}", "does not describe a checkpoint"), (None, "is no checkpoint")]
)
def test_a_page_that_is_not_one_is_refused(tmp_path: Path, content: str | None, text: str) -> None:
    if content is not None:
        (tmp_path / PAGE).write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=text):
        checkpoint.load(tmp_path)


def train_command(folder: Path, name: str, *more: str) -> list[str]:
    common = ["--runs", str(folder), *more]
    return (
        [sys.executable, "-m", "robustcnn", "train", *common]
        if name == ""
        else [
            *[sys.executable, "-m", "robustcnn", "train", "digits-quick", "--name", name, "--threads", "1"],
            *["--no-track", "--fit.epochs", "4", "--model.dropout", "0.3", "--fit.augment.shift", "1", *common],
        ]
    )


def run_to_the_end(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def stored(folder: Path) -> list[dict[str, Tensor]]:
    return [weights(load_checkpoint(folder, which=which)) for which in ("best", "last")]


@pytest.mark.slow
def test_a_real_process_killed_at_random_moments_ends_at_the_same_weights(tmp_path: Path) -> None:
    run_to_the_end(train_command(tmp_path, "whole"))
    draw = random.Random(time.time_ns())
    command = train_command(tmp_path, "broken")
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        wait_for_an_epoch(process)
        time.sleep(draw.uniform(0, 1.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        command = train_command(tmp_path, "", "--resume", "broken")
    run_to_the_end(command)
    for one, other in zip(stored(tmp_path / "whole"), stored(tmp_path / "broken"), strict=True):
        assert same(one, other)


def wait_for_an_epoch(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.rstrip().endswith(("s", "*")) and line.split()[0].isdigit():
            return


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_polite_end_says_how_to_go_on(tmp_path: Path, sent: signal.Signals, status: int) -> None:
    process = subprocess.Popen(
        train_command(tmp_path, "stopped", "--fit.patience", "30", "--fit.epochs", "200"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background of a shell inherit its deafness to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for_an_epoch(process)
    process.send_signal(sent)
    _, told = process.communicate(timeout=60)
    assert process.returncode == status
    assert f"robustcnn train --resume stopped --runs {tmp_path}" in told
    assert "Traceback" not in told
    assert torch.isfinite(next(iter(stored(tmp_path / "stopped")[0].values()))).all()


class Unkept:
    """An objective that is no dataclass."""


@pytest.mark.parametrize("change", [{"objective": Unkept()}, {"augment": lambda images, _: images}])
def test_what_cannot_be_kept_is_refused_before_the_first_epoch(tmp_path: Path, change: dict[str, object]) -> None:
    train, validation = parts()
    (name,) = change
    with pytest.raises(ValueError, match=rf"{name} cannot be kept in a folder: .* \(leave folder out"):
        next(fit(fresh(train), train, validation, replace(QUICK, **change), folder=tmp_path))
    assert not list(tmp_path.iterdir())
