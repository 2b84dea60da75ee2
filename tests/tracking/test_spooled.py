"""A run tells its life to the spool; trouble is said once and stops nothing."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tracked import epoch, life, report

from robustcnn.core.results import Share
from robustcnn.data.resident import ResidentDataset
from robustcnn.tracking import NullTracker, Place, SpooledTracker, outbox
from robustcnn.tracking.names import label
from robustcnn.tracking.place import write_place
from robustcnn.tracking.records import Record
from robustcnn.tracking.refused import is_refusal
from robustcnn.tracking.spool import SPOOL, Spool

pytestmark = pytest.mark.usefixtures("alone")


def told(folder: Path, what: str) -> list[Record]:
    return [record for record, _ in Spool(folder).read() if record.what == what]


def said_to(folder: Path) -> tuple[SpooledTracker, list[str]]:
    lines: list[str] = []
    return SpooledTracker(folder, say=lines.append), lines


def test_a_life_is_on_disk_before_anybody_uploads_it(tmp_path: Path) -> None:
    tracker, _ = said_to(tmp_path / "one")
    life(tracker)
    whats = [record.what for record, _ in Spool(tmp_path / "one").read()]
    assert whats == ["open", "config", "tags", "epoch", "epoch", "epoch", "metrics", "file", "report"]
    assert (tmp_path / "one" / "figures" / "curve.png").read_bytes() == b"\x89PNG"


def test_epochs_told_twice_are_kept_once_also_by_a_later_tracker(tmp_path: Path) -> None:
    for numbers in ((1, 2, 2), (1, 2, 3)):
        tracker, _ = said_to(tmp_path)
        for number in numbers:
            tracker.epoch(epoch(number))
    assert [record.points[0].step for record in told(tmp_path, "epoch")] == [1, 2, 3]


def test_the_place_of_a_run_is_chosen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said_to(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    said_to(tmp_path)
    first, second = told(tmp_path, "open")
    assert first.opening is not None
    assert first.opening.tracking_uri.startswith("sqlite:////")
    assert second.opening is None


def test_the_first_word_on_a_parameter_stands_and_later_ones_are_tags(tmp_path: Path) -> None:
    said_to(tmp_path)[0].config({"evaluate": {"eps": 8, "steps": 10}})
    said_to(tmp_path)[0].config({"evaluate": {"eps": 8, "steps": 40}, "new": True})
    second = told(tmp_path, "config")[1]
    assert second.params == {"new": "True"}
    assert second.tags == {"evaluate.steps": "40"}


def test_a_second_report_has_curves_of_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        said_to(tmp_path)[0].report(report())
    keys = [{point.key for point in record.points} for record in told(tmp_path, "report")]
    assert "curve/worst_linf" in keys[0] - keys[1]
    assert "curve/worst_linf_2" in keys[1] - keys[0]


def test_data_are_known_by_their_fingerprint(tmp_path: Path, tiny: ResidentDataset) -> None:
    said_to(tmp_path)[0].data(tiny, "training")
    used = told(tmp_path, "data")[0].data
    assert used is not None
    assert (used.name, used.digest, used.context) == ("tiny", tiny.fingerprint, "training")
    assert '"num_rows": 60' in used.profile


def test_artifacts_lie_in_the_runs_folder(tmp_path: Path) -> None:
    tracker, _ = said_to(tmp_path / "one")
    with pytest.raises(ValueError, match=r"must lie in the run's folder .*one, got \.\./other\.png"):
        tracker.artifact("../other.png", content=b"")
    with pytest.raises(FileNotFoundError, match=r"artifact .*absent\.png is absent"):
        tracker.artifact("absent.png")


@pytest.mark.parametrize(
    ("problem", "status"), [(None, "FINISHED"), (ValueError(), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_the_end_says_how_it_went(tmp_path: Path, problem: BaseException | None, status: str) -> None:
    with contextlib.suppress(ValueError, KeyboardInterrupt), said_to(tmp_path)[0]:
        if problem is not None:
            raise problem
    assert told(tmp_path, "close")[0].status == status


def test_a_full_disk_is_said_once_and_what_was_said_meanwhile_is_written_later(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here to play a full disk")
    tracker, lines = said_to(tmp_path)
    spool = tmp_path / SPOOL
    begun = spool.read_bytes()
    spool.unlink()
    spool.symlink_to("/dev/full")
    for number in (1, 2):
        tracker.epoch(epoch(number))
    tracker.artifact("figure.png", content=b"png")
    (line,) = lines
    assert f"{spool} cannot be written" in line
    assert "No space left on device" in line
    spool.unlink()
    spool.write_bytes(begun)
    tracker.epoch(epoch(3))
    assert [record.what for record, _ in Spool(tmp_path).read()] == ["open", "epoch", "epoch", "file", "epoch"]
    assert (tmp_path / "figure.png").read_bytes() == b"png"


def test_trouble_of_the_uploader_is_said_once_with_its_cure(tmp_path: Path) -> None:
    tracker, lines = said_to(tmp_path / "one")
    for number in range(1, 4):
        write_place(tmp_path / "one", Place(tracking_uri="http://far", experiment="e", trouble="http://far is down"))
        tracker.epoch(epoch(number))
    tracker.close()
    (line,) = lines
    assert line == (
        "tracking: http://far is down; the run goes on, all it says is kept, and `robustcnn sync one` uploads it later"
    )


def test_trouble_of_yesterday_is_not_told_today(tmp_path: Path) -> None:
    said_to(tmp_path)
    write_place(tmp_path, Place(tracking_uri="http://far", experiment="e", trouble="http://far is down"))
    tracker, lines = said_to(tmp_path)
    tracker.epoch(epoch(1))
    assert not lines


def test_no_process_to_be_had_is_no_reason_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise OSError("too many processes")

    monkeypatch.setattr(outbox, "Uploader", refuse)
    tracker, lines = said_to(tmp_path)
    life(tracker)
    tracker.close()
    assert len(lines) == 1
    assert "no process to upload can be started (too many processes)" in lines[0]


def test_nobody_need_listen(tmp_path: Path) -> None:
    with NullTracker() as tracker:
        life(tracker)
    assert not list(tmp_path.iterdir())


def test_a_weaker_evaluation_of_the_same_examples_raises_no_ball(tmp_path: Path) -> None:
    strong = report()
    first = strong.threats[0]
    weak = replace(strong, threats=(replace(first, robust=Share.of(first.robust.count, first.robust.count)),))
    for each in (strong, weak):
        said_to(tmp_path)[0].report(each)
    key = (
        f"robust/{label(first.norm, first.eps)}" if first.norm != "linf" else f"robust/linf_{label('linf', first.eps)}"
    )
    spoken = [[point.value for point in record.points if point.key == key] for record in told(tmp_path, "report")]
    assert spoken == [[first.robust.value], []]
    # Other examples are another matter.
    said_to(tmp_path)[0].report(replace(weak, fingerprint="0" * 16))
    assert [point.value for point in told(tmp_path, "report")[2].points if point.key == key] == [1.0]


class Answered(Exception):
    """A server's answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status

    def get_http_status_code(self) -> int:
        return self.status


@pytest.mark.parametrize(
    ("problem", "refused"),
    [
        (Answered(400), True),
        (Answered(413), True),
        (Answered(503), False),
        (Answered(401), False),
        (ValueError("nan"), True),
        (ConnectionError("gone"), False),
    ],
)
def test_only_what_would_be_refused_again_is_a_refusal(problem: Exception, refused: bool) -> None:
    assert is_refusal(problem) == refused


def test_the_headline_is_of_the_strongest_evaluation_also_for_a_later_tracker(tmp_path: Path) -> None:
    strong = report()
    lenient = replace(strong, count=strong.count - 1)
    for each in (strong, lenient):
        with said_to(tmp_path)[0] as tracker:
            tracker.report(each)
    first, second = told(tmp_path, "report")
    heads = [{point.key for point in record.points} >= {"robust_accuracy", "accuracy"} for record in (first, second)]
    assert heads == [True, False]
    assert "verdict" in first.tags
    assert all(tag.startswith("evaluated.") for tag in second.tags)


@pytest.mark.parametrize("training", [False, True])
def test_what_only_a_continued_training_needs_is_uploaded_where_it_is_asked_for(tmp_path: Path, training: bool) -> None:
    for name in ("checkpoint.json", "weights-0001.safetensors", "training-0001.safetensors"):
        (tmp_path / name).write_bytes(b"{}")
    with said_to(tmp_path)[0] as tracker:
        tracker.checkpoint(training=training)
    files = {record.file for record in told(tmp_path, "file")}
    assert files == {"checkpoint.json", "weights-0001.safetensors"} | (
        {"training-0001.safetensors"} if training else set()
    )


def test_the_process_that_uploads_does_not_wait_for_torch() -> None:
    code = "import sys, robustcnn.tracking.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
