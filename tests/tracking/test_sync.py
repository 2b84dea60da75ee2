"""What the spool says is in MLflow once, however often and wherever the upload was interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tracked import CURVE, epoch, life, report, seen

from robustcnn.data.resident import ResidentDataset
from robustcnn.tracking import SpooledTracker, mlflow_tracker, read_place, sync
from robustcnn.tracking.place import PLACE, Place, write_place

pytestmark = pytest.mark.usefixtures("alone")


class Killed(BaseException):
    """Stands for a process that ends between two system calls."""


def lived(folder: Path) -> Path:
    """A run that told its life; nothing of it is uploaded yet."""
    with SpooledTracker(folder, say=lambda _: None) as tracker:
        life(tracker)
    return folder


def test_a_whole_life_arrives(runs: Path) -> None:
    folder = lived(runs / "one")
    assert sync(folder) == 10
    run = seen(folder)
    assert run["status"] == "FINISHED"
    assert run["params"] == {"name": "one", "fit.epochs": "3", "fit.optim.lr": "0.1"}
    assert {"commit": "abc123", "verdict": "warn"}.items() <= run["tags"].items()
    assert [(step, value) for step, _, value in run["metrics"]["fit/train_loss"]] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    curve = {step: value for step, _, value in run["metrics"]["curve/worst_linf"]}
    assert curve == {round(eps * 255): hits / 100 for eps, hits in CURVE.items()}
    assert run["data"] == [("digits/test", "00ff00ff00ff00ff")]
    assert run["files"] == ["figures/curve.png"]
    assert (runs.parent / "artifacts").is_dir(), "artifacts lie under mlruns"


def test_a_second_sync_has_nothing_to_do(runs: Path) -> None:
    folder = lived(runs / "one")
    sync(folder)
    assert sync(folder) == 0


def test_uploading_everything_again_adds_nothing(runs: Path) -> None:
    folder = lived(runs / "one")
    sync(folder)
    once = seen(folder)
    place = read_place(folder)
    assert place is not None
    write_place(folder, replace(place, sent=0))
    assert sync(folder) == 10
    assert seen(folder) == once


def test_a_lost_page_finds_its_run_again(runs: Path) -> None:
    folder = lived(runs / "one")
    sync(folder)
    once, before = seen(folder), read_place(folder)
    (folder / PLACE).write_text("{")
    sync(folder)
    assert read_place(folder) == before
    assert seen(folder) == once


def test_dying_at_any_note_of_progress_duplicates_nothing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = lived(runs / "whole")
    sync(whole)
    expected = seen(whole)
    notes = 0

    def counted(folder: Path, place: Place) -> None:
        nonlocal notes
        notes += 1
        if notes == fatal:
            raise Killed
        write_place(folder, place)

    monkeypatch.setattr(mlflow_tracker, "write_place", counted)
    for fatal in range(1, 7):
        folder = runs / f"broken{fatal}"
        folder.mkdir()
        for part in ("tracking.jsonl", "figures"):
            subprocess.run(["cp", "-r", whole / part, folder], check=True)
        spool = folder / "tracking.jsonl"
        spool.write_text(spool.read_text().replace('"key":"', f'"key":"{fatal}', 1))
        notes = 0
        with pytest.raises(Killed):
            sync(folder)
        sync(folder)
        broken = seen(folder)
        assert broken["runs"] == fatal + 1
        for part in ("status", "metrics", "params", "data", "files"):
            assert broken[part] == expected[part], f"{part} after dying at note {fatal}"


def test_a_later_evaluation_adds_to_the_same_run(runs: Path) -> None:
    folder = runs / "one"
    for number in (1, 2):
        tracker = SpooledTracker(folder, say=lambda _: None)
        tracker.epoch(epoch(number))
        tracker.report(report())
        tracker.close()
        sync(folder)
    run = seen(folder)
    assert run["runs"] == 1
    assert len(run["metrics"]["fit/train_loss"]) == 2
    assert len(run["metrics"]["curve/worst_linf"]) == len(run["metrics"]["curve/worst_linf_2"]) == len(CURVE)


def test_more_than_one_request_holds_is_split(runs: Path) -> None:
    tracker = SpooledTracker(runs / "one", say=lambda _: None)
    tracker.config({f"key{number}": number for number in range(150)})
    tracker.tags({f"tag{number}": number for number in range(150)})
    for step in range(2):
        tracker.metrics({f"metric{number}": number for number in range(700)}, step=step)
    sync(runs / "one")
    run = seen(runs / "one")
    assert len(run["params"]) == 150
    assert sum(key.startswith("tag") for key in run["tags"]) == 150
    assert {len(history) for history in run["metrics"].values()} == {2}
    assert len(run["metrics"]) == 700


def test_a_run_and_its_data_are_tied_by_the_fingerprint(runs: Path, tiny: ResidentDataset) -> None:
    tracker = SpooledTracker(runs / "one", say=lambda _: None)
    tracker.data(tiny, "training")
    sync(runs / "one")
    assert seen(runs / "one")["data"] == [("tiny", tiny.fingerprint)]


def test_a_file_that_is_gone_is_passed_over(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = lived(runs / "one")
    (folder / "figures" / "curve.png").unlink()
    sync(folder)
    assert seen(folder)["files"] == []
    assert "passed over" in capsys.readouterr().err


def test_nothing_said_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds nothing to upload: it has no tracking\.jsonl"):
        sync(tmp_path)


def test_a_store_that_cannot_be_had_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = lived(tmp_path / "one")
    with pytest.raises(ConnectionError, match=r"^http://127\.0\.0\.1:9 takes no records: .*[Rr]efused$"):
        sync(folder)


def test_the_environment_is_put_back(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    before = dict(os.environ)
    sync(lived(runs / "one"))
    assert dict(os.environ) == before


@pytest.mark.slow
def test_three_processes_may_be_the_first_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from robustcnn.tracking import SpooledTracker\n"
        "with SpooledTracker(Path(sys.argv[1]), say=lambda line: None) as tracker: tracker.metrics({'x': 1.0})"
    )
    runs = tmp_path / "mlruns" / "checkpoints"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, runs / name], stderr=subprocess.PIPE, text=True)
        for name in ("first", "second", "third")
    ]
    assert [process.communicate()[1] for process in processes] == [""] * 3
    places = [read_place(runs / name) for name in ("first", "second", "third")]
    assert len({place.run_id for place in places if place}) == 3
    assert len({place.experiment_id for place in places if place}) == 1
    for name in ("first", "second", "third"):
        run = seen(runs / name)
        assert (run["status"], len(run["metrics"]["x"]), run["runs"]) == ("FINISHED", 1, 3)
