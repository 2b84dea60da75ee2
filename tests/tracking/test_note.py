"""A run's description: short enough for MLflow, and whole."""

from __future__ import annotations

from dataclasses import replace

from tracked import report

from robustcnn.core.results import Finding
from robustcnn.tracking.note import LONGEST_NOTE, RUN, evaluated_note, trained_note


def test_it_tells_the_verdict_the_figures_with_intervals_the_command_and_shows_pictures() -> None:
    note = evaluated_note(report(), command="robustcnn evaluate one", figures=["figures/curve.png"])
    assert "WARN" in note
    assert "1 of 2 checks pass" in note
    assert "- *warn*, unbounded eps: not all fell" in note
    assert "| robust, linf 8/255 | **45.0 %**, 35.6 to 54.8 |" in note
    assert "`robustcnn evaluate one`" in note
    assert f"![figures/curve.png](get-artifact?path=figures/curve.png&run_uuid={RUN})" in note


def test_what_does_not_fit_is_left_out_whole() -> None:
    many = tuple(Finding(check=f"check {i}", verdict="warn", figure=None, says="x" * 300) for i in range(40))
    note = evaluated_note(replace(report(), findings=many), command="robustcnn evaluate one", figures=["a.png"])
    assert len(note) <= LONGEST_NOTE
    assert "| clean |" in note
    assert note.endswith(f"run_uuid={RUN})")


def test_a_run_that_was_only_trained_says_how_to_judge_it() -> None:
    note = trained_note(accuracy=0.975, name="one", command="robustcnn train digits-quick", figures=[])
    assert "97.5 %" in note
    assert "`robustcnn evaluate one`" in note
