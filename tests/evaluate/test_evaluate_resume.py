"""An evaluation that dies goes on where it was, and says in the end what it would have said."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import interrupted
import killed_inside
import pytest
import torch
from forked import run_script
from interrupted import THREATS, Mortal, data, model, run
from torch import nn

from robustcnn.attacks import FGSM
from robustcnn.core.plain_data import to_plain
from robustcnn.core.results import RobustnessReport
from robustcnn.core.snapshots import Snapshots


def but_for_seconds(report: RobustnessReport) -> Any:
    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(item) for key, item in value.items() if key != "seconds"}
        return [without(item) for item in value] if isinstance(value, list) else value

    return without(to_plain(report))


@pytest.fixture
def done(tmp_path: Path) -> tuple[Path, RobustnessReport]:
    folder = tmp_path / "done"
    return folder, run(folder)


def pieces(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize("block", [1, 6])
def test_a_process_killed_in_the_middle_ends_at_the_same_report(block: int, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    died = run_script(Path(interrupted.__file__), str(folder), str(block), folder=tmp_path)
    assert died.status == -signal.SIGKILL, died.stderr
    goes_on(folder, block)


@pytest.mark.parametrize("block", [2, 4, 7, 12])
def test_dying_at_any_block_costs_no_more_than_that_block(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(interrupted, "die", stop)
        patch.setattr(interrupted, "die_at", block)
        interrupted.work.clear()
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    goes_on(tmp_path, block)


def goes_on(folder: Path, died_at: int) -> None:
    kept = pieces(folder)
    interrupted.work.clear()
    whole = run(None)
    needed = len(interrupted.work)
    interrupted.work.clear()
    resumed = run(folder)
    assert len(interrupted.work) == needed - (died_at - 1)
    assert set(kept) < set(pieces(folder))
    assert but_for_seconds(resumed) == but_for_seconds(whole)
    assert 0 < whole.threats[1].robust.hits < whole.threats[0].robust.hits < whole.clean.accuracy.hits == 36


def test_what_is_complete_is_only_read(done: tuple[Path, RobustnessReport], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, report = done
    monkeypatch.setattr(Mortal, "__call__", lambda *_, **__: pytest.fail("attacked again") if len(_[2]) > 1 else _[2])
    assert run(folder) == report
    assert all(each.seconds > 0 for threat in report.threats for each in threat.attacks)


def test_a_piece_that_is_damaged_missing_or_anothers_is_made_again(done: tuple[Path, RobustnessReport]) -> None:
    folder, report = done
    short, flipped, gone, foreign, other, *rest = pieces(folder)
    sound = {path: path.read_bytes() for path in pieces(folder)}
    short.write_bytes(sound[short][:-100])
    flipped.write_bytes(sound[flipped][:-1] + bytes([sound[flipped][-1] ^ 1]))
    gone.unlink()
    shutil.copy(other, foreign)
    rest[0].write_bytes(b"")
    (folder / f"{short.name}.partial").write_bytes(b"half")
    assert but_for_seconds(run(folder)) == but_for_seconds(report)
    for path in (short, flipped, gone, foreign, rest[0]):
        assert len(path.read_bytes()) == len(sound[path])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "seed = 0 instead of 1"),
        ({"block": 20}, "block = 10 instead of 20"),
        ({"precision": "bf16"}, "precision = 'fp32' instead of 'bf16'"),
        ({"attacks": [FGSM()]}, r"attacks = \['UniformNoise\(\)', 'Mortal\(steps=3\)'\] instead of \['FGSM\(\)'\]"),
        ({"threats": THREATS[:2]}, "threats ="),
        ({"data": data().subset(39)}, "data ="),
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(36, 3))}, "model ="),
    ],
)
def test_a_folder_holds_one_evaluation(
    options: dict[str, Any], message: str, done: tuple[Path, RobustnessReport]
) -> None:
    folder, _ = done
    with pytest.raises(ValueError, match=rf"folder .*done holds another evaluation, with {message}.* \(choose another"):
        run(folder, **options)


def test_a_model_with_the_same_weights_that_answers_otherwise_is_another(done: tuple[Path, RobustnessReport]) -> None:
    class Shifted(nn.Sequential):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images).roll(1, 1)

    with pytest.raises(ValueError, match="model ="):
        run(done[0], model=Shifted(*model()))


def test_a_plan_that_is_none_is_refused(tmp_path: Path) -> None:
    for content in ("{", "[]"):
        (tmp_path / "plan.json").write_text(content)
        with pytest.raises(ValueError, match=r"plan.json is no plan of an evaluation: .* \(choose another folder\)"):
            run(tmp_path)


def test_pieces_without_their_plan_are_taken_up_only_by_the_same_plan(done: tuple[Path, RobustnessReport]) -> None:
    folder, report = done
    (folder / "plan.json").unlink()
    other = run(folder, seed=1)
    assert json.loads((folder / "plan.json").read_text())["seed"] == 1
    assert but_for_seconds(other) != but_for_seconds(report)
    assert but_for_seconds(other) == but_for_seconds(run(None, seed=1))


def test_the_name_of_the_model_may_change(done: tuple[Path, RobustnessReport]) -> None:
    folder, report = done
    assert run(folder, name="renamed") == replace(report, model="renamed")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:AutoAttack's targeted DLR loss")
@pytest.mark.parametrize("step", [50, 250, 500])
def test_a_kill_inside_autoattack_costs_what_came_after_the_last_writing(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Snapshots, "look", killed_inside.look)
    whole = killed_inside.run(tmp_path / "whole")
    total, killed_inside.steps = killed_inside.steps, 0
    assert total > step
    died = run_script(Path(killed_inside.__file__), str(tmp_path / "killed"), str(step), folder=tmp_path)
    assert died.status == -signal.SIGKILL, died.stderr
    assert list((tmp_path / "killed").glob("*.under-way"))
    assert not pieces(tmp_path / "killed")
    assert but_for_seconds(killed_inside.run(tmp_path / "killed")) == but_for_seconds(whole)
    assert killed_inside.steps <= total - step + 3
    assert not list((tmp_path / "killed").glob("*.under-way"))
    killed_inside.steps = 0
