"""Lists of evaluations by several processes: the figures of one, whatever befalls the others."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import list_attacks
import pytest
from elsewhere import Elsewhere
from torch import nn

from robustcnn import FGSM, ThreatModel, __version__, build
from robustcnn.cli.main import main
from robustcnn.data.registry import DataConfig, load
from robustcnn.evaluate import Plan, fingerprint, judge, run_checks
from robustcnn.evaluate.checks.exam import exam_of
from robustcnn.evaluate.pieces import Job
from robustcnn.runs.find_model import SourceConfig, find
from robustcnn.runs.pool.crew import PoolCrew
from robustcnn.runs.pool.dask_pool import refuse_others
from robustcnn.runs.pool.labour import cooked, versions
from robustcnn.runs.pool.parcels import Recipe, model_parcel
from robustcnn.runs.pool.turn import Turn

pytest.importorskip("distributed")
assert list_attacks
TINY = ["--data.name", "digits", "--model.name", "logistic", "--fit.epochs", "1", "--threads", "1"]
FEW = ["--count", "300", "--eps", "0.05", "0.1", "--threads", "1", "--no-track", "--no-checks"]
EVALUATIONS = Path("mlruns/checkpoints/mine/evaluations")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trained run named `mine`, in a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY, "--name", "mine", "--no-track"]) == 0
    return tmp_path


def but_for_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: but_for_seconds(item) for key, item in value.items() if key not in ("seconds", "started")}
    return [but_for_seconds(item) for item in value] if isinstance(value, list) else value


def reports() -> dict[str, Any]:
    """By the evaluation's folder, as bytes."""
    found = EVALUATIONS.glob("*/report.json")
    return {path.parent.name: json.dumps(but_for_seconds(json.loads(path.read_text()))) for path in found}


def one_process(*options: str) -> dict[str, Any]:
    """What it says; nothing of it is left on disk."""
    assert main(["evaluate", "mine", *FEW, *options]) == 0
    found = reports()
    EVALUATIONS.rename(f"evaluations-{time.monotonic_ns()}")
    return found


@pytest.mark.slow
def test_two_processes_say_what_one_says_of_several_suites(run: Path) -> None:
    options = ["--suite", "quick,swift", "--eps", "0.1", "--count", "140"]
    alone = one_process(*options)
    assert main(["evaluate", "mine", *FEW, *options, "--workers", "2"]) == 0
    assert len(alone) == 2
    assert reports() == alone


START = "import sys, list_attacks; from robustcnn.cli.main import main; sys.exit(main(sys.argv[1:]))"


def members(group: int) -> list[str]:
    """Living processes of a group."""
    found = [path.read_text().rpartition(") ")[2].split() for path in Path("/proc").glob("[0-9]*/stat")]
    return [state for state, _, each, *_ in found if int(each) == group and state != "Z"]


@pytest.mark.slow
def test_ctrl_c_leaves_a_list_that_the_same_command_takes_up(run: Path) -> None:
    command = ["evaluate", "mine", *FEW, "--attacks", "slow", "fgsm", "--workers", "2"]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    process = subprocess.Popen(
        [sys.executable, "-c", START, *command],
        cwd=run,
        env=environ,
        text=True,
        stderr=-1,
        start_new_session=True,
        # A shell's background jobs, and these tests where they are one, ignore SIGINT and hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (done := list(EVALUATIONS.glob("*/parts/0*.safetensors"))):
        assert process.poll() is None
        time.sleep(0.02)
    kept = {path: path.stat().st_mtime_ns for path in done}
    # As a terminal does: the workers are sent it too.
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert told.strip() == "stopped: what was found is kept, and the same command goes on from it"
    # Its workers end by themselves, within seconds.
    until = time.monotonic() + 30
    while members(process.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert not members(process.pid)
    left = len(list(EVALUATIONS.glob("*/parts/0*.safetensors")))
    assert left < 12
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    taken_up = reports()
    EVALUATIONS.rename("evaluations-taken-up")
    assert main(command[:-2]) == 0
    assert reports() == taken_up


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_its_pieces_are_made_by_others(run: Path) -> None:
    attack = ["--attacks", f"mortal(file='{run / 'die'}')", "pgd(steps=3)"]
    alone = one_process(*attack)
    (run / "die").touch()
    assert main(["evaluate", "mine", *FEW, *attack, "--workers", "1"]) == 0
    assert not (run / "die").exists()
    assert reports() == alone


@pytest.mark.slow
def test_a_worker_that_takes_over_a_long_piece_goes_on_where_the_dead_one_was(run: Path) -> None:
    attack = ["--attacks", f"stepwise(file='{run / 'die'}')", "--eps", "0.1"]
    alone = one_process(*attack)
    (run / "die").touch()
    assert main(["evaluate", "mine", *FEW, *attack, "--workers", "1"]) == 0
    # Three pieces, one of them in two parts: which of them comes next after an accident is the scheduler's affair.
    *others, last = sorted(map(int, (run / "die.starts").read_text().split()))
    assert others == [0, 0, 0]
    assert 10 <= last <= 15
    assert reports() == alone


@pytest.mark.slow
def test_a_piece_that_always_fails_is_named_and_all_others_are_made(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "mine", *FEW, "--attacks", "failing", "fgsm", "--workers", "1"]
    assert main(command) == 2
    told = capsys.readouterr().err
    assert "failed 3 times: 00-linf-0.05-00002 (Failing(few=44) in linf 0.05): RuntimeError: these images" in told
    (folder,) = EVALUATIONS.iterdir()
    made = {path.stem for path in (folder / "parts").glob("*.safetensors")}
    balls, blocks = ("linf-0.05", "linf-0.1"), ("00000", "00001", "00002")
    assert made == {f"{n}-{ball}-{block}" for n in ("00", "01") for ball in balls for block in blocks} - {
        f"00-{ball}-00002" for ball in balls
    }
    # What failed elsewhere is made here, and only that.
    assert main(command[:-2]) == 0


@pytest.mark.slow
def test_a_scheduler_that_dies_and_comes_back_costs_the_pieces_that_were_out(run: Path, elsewhere: Elsewhere) -> None:
    attack = ["--attacks", "slow"]
    alone = one_process(*attack)

    def restart() -> None:
        while not list(EVALUATIONS.glob("*/parts/0*.safetensors")):
            time.sleep(0.05)
        elsewhere.kill()
        elsewhere.start()

    accident = threading.Thread(target=restart)
    accident.start()
    assert main(["evaluate", "mine", *FEW, *attack, "--scheduler", elsewhere.address]) == 0
    accident.join()
    assert reports() == alone


def test_a_scheduler_that_is_not_there_is_one_line(run: Path, port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "mine", *FEW, "--scheduler", f"tcp://127.0.0.1:{port}"]) == 2
    told = capsys.readouterr().err
    assert f"the scheduler tcp://127.0.0.1:{port} cannot be reached" in told
    assert told.count("\n") == 1


def test_a_worker_with_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match=r"worker tcp://far:1 has robustcnn 9\.9, this is .*install the same"):
        refuse_others({"tcp://far:1": versions() | {"robustcnn": "9.9"}}, print)
    said: list[str] = []
    refuse_others({"tcp://far:1": versions() | {"torch": "9.9"}}, said.append)
    assert "torch 9.9" in said[0]


def test_without_dask_the_line_says_what_to_install(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["evaluate", "mine", *FEW, "--workers", "2"]) == 2
    assert "pip install 'robustcnn[dask]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--workers", "0"], "workers must be at least 1, got 0"),
        (["--workers", "2", "--scheduler", "tcp://x:1"], "scheduler has workers of its own"),
        (["--scheduler", "x"], "scheduler must be an address such as tcp://HOST:8786, got 'x'"),
        (["--cluster", "none.toml"], "--cluster none.toml: No such file"),
        (["--cluster", "odd.toml"], 'must say class = "package.Class"'),
        (["--cluster", "absent.toml"], "cannot find class no.such.Cluster"),
        (["--workers", "2", "--queries", "5"], "queries are counted by one process"),
    ],
)
def test_a_pool_that_cannot_be_is_refused_in_one_line(
    run: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    Path("odd.toml").write_text("workers = 2")
    Path("absent.toml").write_text('class = "no.such.Cluster"\n[options]\nqueue = "gpu"')
    capsys.readouterr()
    assert main(["evaluate", "mine", *FEW, *options]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1


class Here:
    """A pool of this one process."""

    era, size = 0, 1
    stopped = threading.Event()

    def ready(self) -> None:
        pass

    def send(self, work: Any, parcels: Any, asked: bytes, done: Any, *, priority: float) -> Any:
        del priority
        future = SimpleNamespace(key=str(time.monotonic_ns()), value=work(*parcels, asked))
        done(future)
        return future

    def came(self, future: Any) -> Any:
        return future.value


@pytest.mark.slow
def test_checks_that_are_shared_out_find_what_one_after_the_other_finds() -> None:
    _, _, test = load(DataConfig(name="digits"))
    data, threat = test.subset(40), ThreatModel(norm="linf", eps=0.03)
    model = build("logistic", data.spec, seed=0)
    plan = Plan(attacks=(FGSM(),), threats=(threat,), precision="fp32", block=40, seed=0)
    (evidence,) = judge(model, data, plan).evidence
    heard: tuple[list[str], list[str]] = ([], [])
    here = run_checks(model, data, threat, evidence=evidence, say=heard[0].append)
    exam = exam_of(data, threat, seed=0, precision="fp32", evidence=evidence)
    recipe = Recipe(text="mine", runs=Path(), which="best", source=SourceConfig(), place=Path())
    about = {"recipe": recipe, "device": "cpu", "threads": 1, "version": __version__}
    turn = Turn()
    crew = PoolCrew(pool=Here(), turn=turn, expect=lambda _: None, done=lambda: None, **about)  # type: ignore[arg-type]
    with turn.mine():
        found = crew.check(Job(model=model, data=data, plan=plan, clean=evidence.clean_logits), exam, heard[1].append)
    assert found is not None
    assert [replace(each, seconds=0) for each in found] == [replace(each, seconds=0) for each in here]
    assert [each.passes for each in found] == [each.passes for each in here]
    assert heard[0] == heard[1]


class Unwritable(nn.Linear):
    """A model that cannot be written down, as an ONNX session cannot."""

    def __reduce__(self) -> str:
        raise TypeError("cannot pickle 'Session' object")


def test_a_model_that_cannot_travel_is_found_by_its_name_where_the_folder_is_shared(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = run / "mlruns/checkpoints"
    recipe = Recipe(text="mine", runs=runs, which="best", source=SourceConfig(), place=run)
    packed = pickle.loads(model_parcel(Unwritable(2, 2), recipe).content)
    with pytest.raises(ValueError, match=r"mine travels by its name, and the worker on .* finds other weights"):
        cooked(packed)
    model = find("mine", runs).model
    cooked(replace(recipe, print=fingerprint(model)))
    with pytest.raises(ValueError, match=r"does not see the folder /nowhere \(share it with all workers\)"):
        cooked(replace(recipe, place=Path("/nowhere")))
    with pytest.raises(ValueError, match=r"cannot find it there: .* \(is .* shared\?\)"):
        cooked(replace(recipe, text="other"))


@pytest.mark.slow
def test_a_cluster_is_made_as_its_table_says(run: Path) -> None:
    alone = one_process("--attacks", "fgsm")
    Path("cluster.toml").write_text(
        'class = "distributed.LocalCluster"\nworkers = 1\n[options]\nn_workers = 0\nthreads_per_worker = 1\n'
        "memory_limit = 0\n"
    )
    assert main(["evaluate", "mine", *FEW, "--attacks", "fgsm", "--cluster", "cluster.toml"]) == 0
    assert reports() == alone
