"""The command line as a user meets it: real processes where the process matters, one line for every mistake."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from robustcnn.cli.help_pages import FOLDER, kept, made
from robustcnn.cli.main import VERBS, main
from robustcnn.cli.option_list import CONFIGS
from robustcnn.cli.options import Problem, parse
from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel
from robustcnn.models import build
from robustcnn.runs.config_file import read_toml
from robustcnn.runs.presets import PRESETS, preset
from robustcnn.runs.train_config import TrainConfig
from robustcnn.train import OBJECTIVES, Trades

TINY = ["--data.name", "digits", "--model.name", "logistic", "--fit.epochs", "1", "--threads", "1", "--no-track"]


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a mistaken call says: exactly one line, exit status 2."""
    assert main(list(arguments)) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith("robustcnn: ")
    assert len(told) < 600
    return told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "unknown verb 'trian' (did you mean 'train'?)"),
        (["train", "digits-quik"], "unknown preset 'digits-quik' (did you mean 'digits-quick'?)"),
        (["train", "--fit.epoch", "3"], "did you mean --fit.epochs?"),
        (["train", "--fit.optim.lr", "fast"], "not a number: 'fast' (write 0.03, 3e-2 or 8/255)"),
        (["train", "--fit.optim.lr", "-1"], "lr must be a positive number, got -1"),
        (["train", "--fit.optim.name", "adan"], "'adan'"),
        (["train", "--objective", "trade"], "unknown fit.objective 'trade' (did you mean 'trades'?)"),
        (["train", "--objective.beta", "3"], "--fit.objective.beta is an option of trades, mart, not of standard"),
        (["train", "--objective", "mart", "--objective.bet", "3"], "did you mean --fit.objective.beta?"),
        (["train", "--objective", "fast", "--threat.eps", "8"], "eps must lie in [0, 1] for linf, got 8"),
        (["train", "--objective", "fast", "--objective.noise", "-1"], "noise must not be negative, got -1"),
        (["train", "--fit.epochs", "0"], "epochs must be at least 1, got 0"),
        (["train", "--data.name", "minst"], "mnist"),
        (["train", "--model.name", "lenet"], "lenet5"),
        (["train", "--config"], "--config needs a value"),
        (["train", "--config", "absent.toml"], "--config absent.toml: there is no such file"),
        (["train", "--resume", "absent"], "absent holds no run"),
        (["train", "--resume", "x", "--fit.epochs", "3"], "--resume keeps the run's own config"),
        (["train", "--name", "a/b"], "name must be a plain folder name, got 'a/b'"),
        (["train", "--device", "cuda"], "torch sees no GPU here (use --device auto or cpu)"),
        (["data", "--data.name", "npz:absent.npz"], "absent.npz"),
        (["describe", "--model.name", "alexnett"], "alexnet"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_cure(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert said in mistake(capsys, *arguments)


def test_a_run_is_trained_kept_and_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", *TINY, "--name", "one", "--runs", str(tmp_path)]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "test accuracy" in told
    assert "train/valid" in told
    record = json.loads((tmp_path / "one" / "run.json").read_text())
    assert record["test"]["best"]["count"] == 359
    assert set(record["made_by"]) >= {"torch", "commit", "python", "started"}
    assert "a run named 'one' is there already" in mistake(capsys, *command)


def test_a_config_printed_by_a_run_can_be_run_again(tmp_path: Path) -> None:
    assert main(["train", *TINY, "--name", "one", "--runs", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "one" / "run.json").read_text())
    config = from_plain(TrainConfig, record["config"])
    assert config.model.name == "logistic"
    assert to_plain(config) == record["config"]


def test_a_toml_file_sets_what_it_names_and_options_override_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[fit]\nepochs = 3\n[fit.optim]\nlr = "8/255"\n')
    config = read_toml(file, PRESETS["digits-quick"].config)
    assert config.fit.epochs == 3
    assert config.fit.optim.lr == 8 / 255
    assert config.fit.batch_size == PRESETS["digits-quick"].config.fit.batch_size
    arguments = ["--config", str(file), "--fit.epochs", "1", "--model.width", "0.05"]
    assert main(["train", "digits-quick", *arguments, "--no-track", "--name", "one", "--runs", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "one" / "run.json").read_text())
    assert record["config"]["fit"]["epochs"] == 1
    assert record["config"]["fit"]["optim"]["lr"] == 8 / 255


@pytest.mark.parametrize(
    "asked",
    [
        ["--objective", "trades", "--objective.beta", "3", "--threat.eps", "8/255", "--optim.lr", "0.01"],
        ["--fit.objective=trades", "--fit.objective.beta=3", "--fit.objective.threat.eps=8/255", "--fit.optim.lr=0.01"],
    ],
)
def test_an_objective_is_chosen_by_name_by_short_or_whole_paths(asked: list[str]) -> None:
    config = parse(TrainConfig, asked, verb="train", text="", default=TrainConfig())
    assert config.fit.objective == Trades(beta=3.0, threat=ThreatModel(eps=8 / 255))
    assert config.fit.optim.lr == 0.01


def test_the_last_part_of_an_options_path_is_enough_where_it_is_the_only_one() -> None:
    asked = ["--freeze", "first:1", "--epochs", "3", "--batch-size", "7", "--mirror", "--eps=8/255"]
    config = parse(TrainConfig, asked, verb="train", text="", default=preset("digits-quick-robust"))
    assert (config.fit.freeze, config.fit.epochs, config.fit.batch_size) == ("first:1", 3, 7)
    assert config.fit.augment.mirror
    assert config.fit.objective.threat.eps == 8 / 255  # type: ignore[union-attr]


def test_an_option_of_which_there_are_two_has_to_say_which() -> None:
    with pytest.raises(Problem, match="seed"):
        parse(TrainConfig, ["--seed", "3"], verb="train", text="", default=preset("digits-quick"))


def test_another_objective_keeps_the_presets_threat() -> None:
    base = PRESETS["mnist-madry"].config
    config = parse(TrainConfig, ["--objective", "mart"], verb="train", text="", default=base)
    assert config.fit.objective.name == "mart"
    assert config.fit.objective.threat == base.fit.objective.threat


def test_a_toml_file_chooses_an_objective_which_keeps_what_the_presets_knew_too(tmp_path: Path) -> None:
    base = PRESETS["mnist-madry"].config
    file = tmp_path / "mine.toml"
    file.write_text('[fit]\nobjective = "trades"\n')
    short = read_toml(file, base).fit.objective
    file.write_text('[fit.objective]\nname = "trades"\nbeta = 6\n')
    assert short == read_toml(file, base).fit.objective
    assert short.name == "trades"
    assert short.threat == base.fit.objective.threat


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("fit.objective.name = 'trade'", "unknown fit.objective 'trade' (did you mean 'trades'?)"),
        ("fit.objective.beta = 3", "unknown key 'fit.objective.beta'"),
        ("fit = 3", "fit must be a table"),
        ("[fit]\nepoch = 3", "unknown key 'fit.epoch' (did you mean 'epochs'?)"),
        ("[fit", "is not TOML"),
        ("[fit]\nepochs = 'x'", "fit.epochs must be int, got 'x'"),
        ("[fit.optim]\nlr = -1", "lr must be a positive number"),
    ],
)
def test_a_bad_config_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(content)
    told = mistake(capsys, "train", "--config", str(file))
    assert said in told
    assert str(file) in told


@pytest.mark.parametrize("verb", ["train", "data", "describe", "demo"])
def test_every_verb_explains_every_option(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert f"robustcnn {verb}" in capsys.readouterr().out


def test_train_help_lists_presets_and_field_docstrings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert all(name in told for name in PRESETS)
    assert "lambda of the penalty" in told


def test_help_on_an_objective_shows_its_options_and_names_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--objective", "fast", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "--fit.objective.grad-align FLOAT" in told
    assert "--fit.objective.beta" not in told
    assert all(f" {name} " in told for name in OBJECTIVES)


def test_the_overview_names_all_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in VERBS)


def test_data_lists_sets_and_shows_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 0
    assert "fashion-mnist" in capsys.readouterr().out
    sheet = tmp_path / "sheet.png"
    assert main(["data", "--data.name", "digits", "--samples", str(sheet)]) == 0
    told = capsys.readouterr().out
    assert "1 x 32 x 32" in told
    assert sheet.stat().st_size > 1000


def test_describe_prints_the_1998_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "--model.name", "lenet5", "--data.name", "digits"]) == 0
    told = capsys.readouterr().out
    assert "6x28x28" in told
    assert "48,120" in told


SHAPES = {
    "digits": (1, 32, 10),
    "signs": (3, 32, 12),
    "mnist": (1, 28, 10),
    "fashion-mnist": (1, 28, 10),
    "cifar10": (3, 32, 10),
    "fer2013": (1, 48, 7),
}
"""Channels, side and classes of the data sets that presets name."""


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_its_model_for_its_kind_of_picture(name: str) -> None:
    config = PRESETS[name].config
    channels, side, classes = SHAPES[config.data.name]
    statistics = {"mean": (0.5,) * channels, "std": (0.2,) * channels}
    names = tuple(map(str, range(classes)))
    model = build(config.model, ImageSpec(channels=channels, height=side, width=side, classes=names, **statistics))
    assert model.eval()(torch.rand(2, channels, side, side)).shape == (2, classes)


def test_help_answers_in_under_two_seconds_and_loads_no_torch() -> None:
    code = "import sys; from robustcnn.cli.main import main; main(['--help']); print('torch' in sys.modules)"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.perf_counter() - start < 2
    assert "usage: robustcnn VERB" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"


CPU = """import resource, subprocess, sys
subprocess.run([sys.executable, *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime)"""


@pytest.mark.parametrize(
    ("arguments", "most"), [(("-m", "robustcnn", "evaluate", "--help"), 1.0), (("-c", "import robustcnn"), 0.4)]
)
def test_what_is_asked_first_is_answered_at_once(arguments: tuple[str, ...], most: float) -> None:
    """On a quiet machine in half of that; torch alone takes a second and more."""
    done = subprocess.run([sys.executable, "-c", CPU, *arguments], capture_output=True, text=True, check=True)
    assert float(done.stdout) < most


def test_the_help_of_no_verb_waits_for_torch_or_mlflow() -> None:
    code = (
        "import sys; from robustcnn.cli.main import main\n"
        f"for verb in {list(CONFIGS)}: main([verb, '--help'])\n"
        "print([name for name in ('torch', 'mlflow', 'numpy', 'tyro') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", CONFIGS)
def test_the_help_that_is_kept_is_what_the_config_says(verb: str) -> None:
    """Word by word: where lines break is the parser's matter (make format writes the pages anew)."""
    written = (FOLDER / f"{verb}.txt").read_text()
    words = [re.sub("[─│╭╮╰╯]", " ", page).split() for page in (written, made(VERBS[verb].run))]
    assert words[0] == words[1]


def test_on_a_terminal_the_options_of_a_kept_page_are_bold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robustcnn.cli.colour._on_a_terminal", lambda: True)
    assert "  \033[1m--port\033[0m {None}|INT" in (kept("ui") or "")


def test_help_on_a_narrow_terminal_is_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept("ui") is not None
    monkeypatch.setenv("COLUMNS", "60")
    assert kept("ui") is None


@pytest.mark.parametrize("statement", ["import robustcnn", "from robustcnn import fit, load, build, score"])
def test_importing_the_package_loads_none_of_the_heavy_faces(statement: str) -> None:
    heavy = ("mlflow", "seaborn", "matplotlib", "foolbox", "tyro", "pandas")
    code = f"{statement}; import sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_preset_may_stand_after_options(tmp_path: Path) -> None:
    from robustcnn.cli.training_verbs import _preset
    from robustcnn.runs.presets import PRESETS
    from robustcnn.runs.train_config import TrainConfig

    def split(*words: str) -> tuple[str | None, list[str]]:
        return _preset(list(words), PRESETS, TrainConfig())

    assert split("--name", "q1", "digits-quick") == ("digits-quick", ["--name", "q1"])
    assert split("--no-track", "digits-quick", "--epochs", "1") == ("digits-quick", ["--no-track", "--epochs", "1"])
    assert split("--name", "digits-quick") == (None, ["--name", "digits-quick"])
    assert split("--name=q1", "digits-quick") == ("digits-quick", ["--name=q1"])
    assert split("nosuch", "--name", "q1") == ("nosuch", ["--name", "q1"])


def test_help_says_what_leaving_the_tracker_out_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    assert "--no-track leaves it out" in " ".join(capsys.readouterr().out.replace("│", " ").split())
