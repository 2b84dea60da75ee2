"""What the spool says is in MLflow once, however often and wherever the upload was interrupted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tracked import CURVE, epoch, life, report, seen

from robustcnn.cli.main import main
from robustcnn.data.resident import ResidentDataset
from robustcnn.tracking import SpooledTracker, fetch_checkpoint, mlflow_tracker, read_place, refused, sync
from robustcnn.tracking.place import PLACE, Place, write_place
from robustcnn.tracking.records import Point, Record
from robustcnn.tracking.spool import Spool

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


def test_a_record_that_mlflow_refuses_is_set_aside_and_the_rest_goes_on(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = lived(runs / "one")
    spool = Spool(folder)
    spool.append(Record(what="metrics", points=(Point(key="bad@name", value=1.0),)))
    with spool.path.open("a") as file:
        file.write('{"what":"of another version","unheard":1}\n')
    spool.append(Record(what="metrics", points=(Point(key="after", value=2.0),)))
    sync(folder)
    assert "after" in seen(folder)["metrics"]
    assert "set aside what metrics said, which MLflow refuses" in capsys.readouterr().err
    (line,) = refused(folder)
    assert json.loads(line)["record"]["points"][0]["key"] == "bad@name"
    assert sync(folder) == 0


def test_records_of_a_run_that_was_deleted_in_mlflow_wait(runs: Path) -> None:
    from mlflow import MlflowClient

    folder = lived(runs / "one")
    sync(folder)
    place = read_place(folder)
    assert place is not None
    client = MlflowClient(place.tracking_uri)
    client.delete_run(place.run_id)
    Spool(folder).append(Record(what="metrics", points=(Point(key="late", value=2.0),)))
    with pytest.raises(ConnectionError, match="takes no records"):
        sync(folder)
    assert not refused(folder)
    client.restore_run(place.run_id)
    sync(folder)
    assert "late" in seen(folder)["metrics"]


def test_a_sync_of_all_runs_passes_over_the_untracked_and_the_troubled(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lived(runs / "one")
    lived(runs / "three")
    (runs / "untracked").mkdir()
    (runs / "untracked" / "run.json").write_text("{}")
    lived(runs / "two")
    (runs / "two" / "tracking.jsonl").write_text('{"what":"tags"}\n')
    assert main(["sync", "--runs", str(runs)]) == 2
    told = capsys.readouterr()
    assert {seen(runs / name)["status"] for name in ("one", "three")} == {"FINISHED"}
    assert "two: " in told.out
    assert "1 runs are not uploaded yet: two (sync again)" in told.err
    assert "untracked" not in told.out


@pytest.mark.parametrize("name", ["../../escaped", "..", "/etc/cron", "a\nb", ""])
def test_a_servers_word_leads_nowhere_else(runs: Path, tmp_path: Path, name: str) -> None:
    from mlflow import MlflowClient

    folder = runs / "one"
    folder.mkdir(parents=True)
    (folder / "checkpoint.json").write_text("{}")
    with SpooledTracker(folder, say=lambda _: None) as tracker:
        tracker.checkpoint()
    sync(folder)
    place = read_place(folder)
    assert place is not None
    MlflowClient(place.tracking_uri).set_tag(place.run_id, "mlflow.runName", name)
    before = set(tmp_path.rglob("*"))
    shutil.rmtree(folder)
    found = fetch_checkpoint(f"runs:/{place.run_id}", runs)
    assert found.parent == runs
    assert all(path.is_relative_to(runs) or path in before or "mlflow" in path.name for path in tmp_path.rglob("*"))
