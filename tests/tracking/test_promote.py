"""Who becomes champion: the most robust by a measurement that counts, among runs that were asked the same."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from robustcnn.tracking import promote as promote


class Client:
    """Says of each run what was told of it."""

    runs: dict[str, SimpleNamespace] = {}  # noqa: RUF012

    def __init__(self, uri: str) -> None:
        assert uri == "sqlite:///nowhere"

    def get_run(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(data=self.runs[name])


def told(robust: float, *, verdict: str = "pass", examples: str = "ff", eps: float = 0.1) -> SimpleNamespace:
    tags = {"verdict": verdict, "evaluated.fingerprint": examples}
    return SimpleNamespace(metrics={"robust_accuracy": robust, "eps": eps}, tags=tags)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders of the runs that were registered."""
    import mlflow

    module = importlib.import_module("robustcnn.tracking.promote")

    names: list[str] = []
    monkeypatch.setattr(mlflow, "MlflowClient", Client)
    place = {"run_id": "", "tracking_uri": "sqlite:///nowhere"}
    monkeypatch.setattr(module, "read_place", lambda folder: SimpleNamespace(**place | {"run_id": folder.name}))
    monkeypatch.setattr(module, "_register", lambda _, best, __: names.append(best.folder.name) or "7")
    return names


FOLDERS = [Path("weak"), Path("strong"), Path("failed")]


def test_the_most_robust_whose_measurement_did_not_fail_is_the_champion(registered: list[str]) -> None:
    Client.runs = {"weak": told(0.4), "strong": told(0.6, verdict="warn"), "failed": told(0.9, verdict="fail")}
    promoted = promote(FOLDERS, name="reader")
    assert registered == ["strong"]
    assert str(promoted) == "strong (robust accuracy 60.0 %) is models:/reader@champion, version 7"


@pytest.mark.parametrize("other", [{"examples": "00"}, {"eps": 0.2}])
def test_runs_that_were_asked_something_else_are_not_compared(registered: list[str], other: dict[str, object]) -> None:
    Client.runs = {"weak": told(0.4), "strong": told(0.6, **other), "failed": told(0.9, verdict="fail")}
    with pytest.raises(ValueError, match=r"these runs were judged on different examples or balls: weak: .*; strong: "):
        promote(FOLDERS, name="reader")
    assert not registered
