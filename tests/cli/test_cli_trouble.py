"""Whose trouble it is: a mistake ends with 2, a failure with 1, and only who asks sees a traceback."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from robustcnn.cli import main as command
from robustcnn.cli.main import Verb, main
from robustcnn.core.plain_data import number


def foreign() -> object:
    return np.zeros((2, 3)) @ np.zeros((2, 3))


def full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device: 9 bytes are needed", "/there")


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    def arrange(how: Callable[[], object]) -> None:
        monkeypatch.setitem(command.VERBS, "fail", Verb(run=lambda _: how() and None, says=""))

    return arrange


Fails = Callable[[Callable[[], object]], None]


@pytest.mark.parametrize(
    ("how", "status", "said"),
    [
        (lambda: number("x"), 2, "robustcnn: not a number: 'x' (write 0.03, 3e-2 or 8/255)"),
        (
            lambda: Path("/absent/file").read_bytes(),
            2,
            "robustcnn: [Errno 2] No such file or directory: '/absent",
        ),
        (full, 1, "robustcnn: [Errno 28] No space left on device: 9 bytes are needed: '/there'"),
        (foreign, 1, "robustcnn: ValueError: matmul: "),
        (lambda: {}["a"], 1, "robustcnn: KeyError: 'a' (--traceback, or ROBUSTCNN_TRACEBACK=1, shows where)"),
    ],
)
def test_every_trouble_is_one_line_and_a_status(
    fails: Fails,
    capsys: pytest.CaptureFixture[str],
    how: Callable[[], object],
    status: int,
    said: str,
) -> None:
    fails(how)
    assert main(["fail"]) == status
    told = capsys.readouterr().err
    assert told.startswith(said)
    assert told.count("\n") == 1


def test_a_traceback_is_for_who_asks(
    fails: Fails, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(foreign)
    monkeypatch.setenv("ROBUSTCNN_TRACEBACK", "0")
    main(["fail"])
    assert "Traceback" not in capsys.readouterr().err
    main(["fail", "--traceback"])
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("ROBUSTCNN_TRACEBACK", "1")
    main(["fail"])
    assert "Traceback" in capsys.readouterr().err
