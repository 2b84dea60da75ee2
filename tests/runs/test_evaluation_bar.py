"""What `evaluate` shows on a terminal while it works: one bar over the attacks and the checklist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from robustcnn.cli.main import main

TINY = "train --data.name digits --model.name logistic --fit.epochs 1 --threads 1 --no-track --name mine"
ASKED = "evaluate mine --attacks fgsm --count 10 --eps 0.05 0.1 --threads 1 --no-track"


def on_a_terminal(*words: str) -> str:
    """All that a command writes when its error output is a terminal."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    ours, theirs = pty.openpty()
    pytest.importorskip("termios").tcsetwinsize(theirs, (24, 120))
    command = [sys.executable, "-m", "robustcnn", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        try:
            while part := os.read(ours, 4096):
                seen += part
        except OSError:  # how Linux says that nobody writes any more
            pass
    os.close(ours)
    assert process.returncode == 0
    return seen.decode()


@pytest.mark.slow
def test_one_bar_goes_over_attacks_and_checklist_and_ends_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(TINY.split()) == 0
    shown = on_a_terminal(*ASKED.split())
    assert set(re.findall(r"(\w+) mine:", shown)) == {"evaluating"}
    done = [tuple(map(int, pair)) for pair in re.findall(r"(\d+)/(\d+) \[", shown)]
    # Two balls, and the whole checklist.
    assert done[-1][0] == done[-1][1] > 30
    assert {"100%"} == set(re.findall(r"(\d+%)\|[^|]*\| \d+/\d+", shown)[-1:])
    assert [first for first, _ in done] == sorted(first for first, _ in done)
