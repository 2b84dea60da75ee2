"""What the command shows a newcomer, and colour where it belongs."""

from __future__ import annotations

import pytest

import robustcnn
from robustcnn.cli import colour
from robustcnn.cli.completion import script
from robustcnn.cli.main import VERBS, main
from robustcnn.cli.option_list import CONFIGS


def test_the_command_alone_shows_four_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    commands = [line.split()[1] for line in shown.splitlines() if line.startswith("  robustcnn ")]
    assert commands == ["demo", "train", "evaluate", "ui"]
    assert "--help" in shown


@pytest.mark.parametrize("asked", ["--version", "version"])
def test_the_version_is_told(asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([asked]) == 0
    assert capsys.readouterr().out == f"{robustcnn.__version__}\n"


def test_verdicts_are_coloured_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert colour.coloured("warn: steps") == "warn: steps"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert colour.coloured("warn: password") == "\033[33mwarn\033[0m: password"
    monkeypatch.setenv("NO_COLOR", "1")
    assert colour.coloured("warn: steps") == "warn: steps"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_every_verb_and_option(shell: str) -> None:
    text = script(shell, list(VERBS))
    assert all(verb in text for verb in VERBS)
    assert "fit.optim.lr" in text


def test_an_unknown_shell_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "unknown shell 'tcsh'; known: bash, zsh, fish" in capsys.readouterr().err


def test_every_verb_with_options_is_listed() -> None:
    assert set(CONFIGS) == set(VERBS) - {"completion", "version", "trouble"}
