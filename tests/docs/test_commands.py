"""The commands of README and docs are run, page by page, in the order in which a reader types them.

Each page has a working folder of its own. What a command would do for minutes it does on less; what cannot be run here
is listed with its reason, and `test_snippets.py` still checks that the command line understands it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from snippets import PAGES, commands_of, place

from robustcnn.cli.main import main

LEFT_OUT = {
    "demo": "minutes; run on less by tests/test_packaging.py, where the wheel is installed",
    "ui": "serves until Ctrl-C; run by tests/tracking/test_ui_in_a_browser.py",
    "attack --demo": "trains a network first; run by tests/runs/test_attack_pictures.py",
    "attack panda.jpg": "needs a photograph and GoogLeNet's weights",
    "evaluate nets:make": "needs the reader's files; run by tests/test_your_model.py",
    "evaluate smooth:make": "needs the reader's files; run by tests/test_your_model.py",
    "evaluate pt2:": "needs the reader's files; run by tests/test_your_model.py",
    "evaluate onnx:": "needs the reader's files; run by tests/test_your_model.py",
    "evaluate plain robust": "several models, processes or machines; run by tests/runs/test_evaluate_list.py",
    "pretrain fashion-dcgan": "needs Fashion-MNIST",
    "pretrain --resume shapes": "goes on with a DCGAN on Fashion-MNIST",
    "train --init-from shapes": "starts from a DCGAN on Fashion-MNIST",
    "train --init-from DCGAN_RUN": "starts from a DCGAN; run by tests/runs/test_warm_start.py",
    "train --init-from torchvision:": "needs torchvision's weights; run by tests/runs/test_warm_start.py",
    "train mnist-ibp": "needs MNIST, and minutes",
}
"""Commands that begin so are not run, and why."""
LESS = {
    "train": ["--fit.epochs", "1", "--data.limit", "200", "--threads", "1"],
    "evaluate": ["--count", "12", "--threads", "1"],
    "sweep": ["--trials", "2", "--train.fit.epochs", "1"],
}
"""Options that stand last, and so win."""
TRAINED = {"RUN": "mine", "A": "first", "B": "second", "plain": "plain", "robust": "robust"}
"""What a page takes for granted, and what it is called here."""


def reason(words: list[str]) -> str:
    line = " ".join(words)
    return next((why for start, why in LEFT_OUT.items() if line == start or line.startswith(start)), "")


def run_here(words: list[str], *, tracked: bool) -> None:
    verb, *rest = words
    rest = [TRAINED.get(word, word) for word in rest]
    less = [] if "--resume" in rest else LESS.get(verb, [])
    untracked = [] if tracked or verb not in ("train", "evaluate") or "--resume" in rest else ["--no-track"]
    assert main([verb, *rest, *less, *untracked]) == 0, words


def made_before(page: Path, words: list[str]) -> list[str]:
    """Runs that the page's commands name and none of them makes."""
    made = {words[words.index("--name") + 1] for words in commands_of(page) if "--name" in words[:-1]}
    return [TRAINED[word] for word in words if word in TRAINED and word not in made]


@pytest.mark.soak
@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)], ids=place)
def test_the_commands_of_a_page_run_one_after_the_other(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tracked = page.name == "README.md"
    for words in commands_of(page):
        if reason(words):
            continue
        for name in made_before(page, words):
            if not (Path("mlruns/checkpoints") / name).exists():
                # Bounds take minutes on the preset's network.
                small = ["--model.name", "mlp", "--model.width", "0.1"] if "--certify" in words else []
                run_here(["train", "digits-quick", "--name", name, *small], tracked=False)
                run_here(["evaluate", name, "--suite", "quick"], tracked=False)
        run_here(words, tracked=tracked)


def test_every_reason_is_needed() -> None:
    lines = [" ".join(words) for page in PAGES for words in commands_of(page)]
    assert [start for start in LEFT_OUT if not any(line.startswith(start) for line in lines)] == []
    run = [line for line in lines if not reason(line.split())]
    assert 2 * len(run) > len(lines)
