"""What was said stays said, whatever happens to the process that said it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from robustcnn.tracking.records import Data, Opening, Point, Record
from robustcnn.tracking.spool import Spool

FIRST = Record(
    what="epoch",
    time=1,
    points=(Point(key="loss", value=0.5, step=3), Point(key="best", value=float("inf"))),
    params={"a": ""},
    tags={"ü": "\n"},
    data=Data(name="digits", digest="00ff", context="training"),
    opening=Opening(key="k", name="n", tracking_uri="u", experiment="e"),
)
SECOND = Record(what="close", time=2, status="FINISHED")


def records(spool: Spool, start: int = 0) -> list[Record]:
    return [record for record, _ in spool.read(start)]


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    assert (spool.size, records(spool)) == (0, [])
    spool.append(FIRST)
    spool.append(SECOND)
    assert records(Spool(tmp_path)) == [FIRST, SECOND]


def test_reading_goes_on_where_it_ended(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(FIRST)
    ((_, end),) = spool.read()
    assert end == spool.size
    spool.append(SECOND)
    assert records(spool, end) == [SECOND]


def test_half_a_line_is_passed_over_wherever_it_was_cut(tmp_path: Path) -> None:
    whole = Spool(tmp_path)
    whole.append(FIRST)
    content = whole.path.read_bytes()
    for length in (1, 2, 50, len(content) - 2, len(content) - 1):
        whole.path.write_bytes(content + content[:length])
        assert records(whole) == [FIRST]
        whole.append(SECOND)
        # Cut just before its line's end, a record is whole after all.
        assert records(whole) == ([FIRST, FIRST, SECOND] if length == len(content) - 1 else [FIRST, SECOND])


def test_a_line_of_which_only_a_part_fits_is_no_record_and_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    spool.append(FIRST)

    class Short(io.FileIO):
        def write(self, content: object) -> int:
            return super().write(bytes(content)[:3])  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", lambda self, *_, **__: Short(self, "a+b"))
    with pytest.raises(OSError, match="only a part could be written"):
        spool.append(SECOND)
    monkeypatch.undo()
    spool.append(SECOND)
    assert records(spool) == [FIRST, SECOND]
