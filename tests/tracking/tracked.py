"""A made-up life of a run, what is known of it beforehand, and what MLflow shows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robustcnn.core.results import (
    AttackScore,
    Bin,
    ClassMetrics,
    CorruptionScore,
    EpochMetrics,
    Finding,
    Metrics,
    RobustnessReport,
    Share,
    Smallest,
    ThreatScore,
    TransferScore,
)
from robustcnn.tracking import Tracker, read_place

CURVE = {0.0: 95, 2 / 255: 80, 8 / 255: 45, 0.3: 5}
"""Right answers of 100 at each eps of the made-up report."""


class NoUploader:
    """In the place of the process beside the run."""

    failed = False

    def __init__(self, folder: Path) -> None: ...

    def ended(self, _: float | None = None) -> bool:
        return True


def epoch(number: int) -> EpochMetrics:
    return EpochMetrics(
        epoch=number,
        train_loss=1 / number,
        valid_loss=2 / number,
        valid_accuracy=1 - 0.5 / number,
        learning_rate=0.1,
        images_per_second=1000.0,
        seconds=0.5,
    )


def metrics(hits: int) -> Metrics:
    recall = Share.of(hits, 100)
    each = ClassMetrics(
        name="left", support=100, precision=1.0, recall=recall, specificity=None, f1=0.5, auc=None, roc=()
    )
    return Metrics(
        accuracy=recall,
        balanced_accuracy=hits / 100,
        precision_macro=None,
        recall_macro=hits / 100,
        specificity_macro=0.9,
        f1_macro=hits / 200,
        f1_weighted=hits / 150,
        auc=0.9,
        log_loss=0.3,
        brier=0.2,
        calibration_error=0.05,
        confidence=0.8,
        confidence_wrong=None,
        classes=(each,),
        confusion=((hits, 100 - hits),),
        reliability=(Bin(count=100, confidence=0.8, accuracy=hits / 100),),
    )


def threat(norm: str, eps: float, hits: int) -> ThreatScore:
    score = AttackScore(
        attack="PGD(steps=40, loss='dlr')",
        metrics=metrics(hits + 3),
        first=4,
        kept_as_bytes=Share.of(1, 1),
        distances={"linf": eps},
        seconds=0.5,
    )
    return ThreatScore(norm=norm, eps=eps, robust=Share.of(hits, 100), worst=metrics(hits), attacks=(score,))


def report() -> RobustnessReport:
    return RobustnessReport(
        model="smallcnn",
        data="digits/test",
        fingerprint="00ff00ff00ff00ff",
        count=100,
        clean=metrics(95),
        threats=(*(threat("linf", eps, hits) for eps, hits in CURVE.items() if eps), threat("l2", 0.5, 60)),
        smallest=(Smallest(norm="linf", eps=(0.0, 0.1, None), median=0.1),),
        findings=(
            Finding(check="steps", verdict="pass", figure=0.01, says="enough"),
            Finding(check="unbounded eps", verdict="warn", figure=None, says="not all fell"),
        ),
        corruptions=(CorruptionScore(corruption="fog", accuracy=tuple(Share.of(90 - 10 * s, 100) for s in range(5))),),
        transfer=(TransferScore(source="lenet5", target="smallcnn", accuracy=Share.of(7, 10)),),
        made_by={"seed": "0"},
    )


def life(tracker: Tracker, *, epochs: int = 3) -> None:
    """All that a run may say but for what needs a model."""
    tracker.config({"name": "one", "fit": {"epochs": epochs, "optim": {"lr": 0.1}}})
    tracker.tags({"commit": "abc123", "device": "cpu"})
    for number in range(1, epochs + 1):
        tracker.epoch(epoch(number))
    tracker.metrics({"test/accuracy": 0.95})
    tracker.artifact("figures/curve.png", content=b"\x89PNG", under="figures")
    tracker.report(report())


def seen(folder: Path) -> dict[str, Any]:
    """All that MLflow shows of the run in this folder."""
    from mlflow import MlflowClient

    place = read_place(folder)
    assert place is not None
    client, run_id = MlflowClient(place.tracking_uri), place.run_id
    run = client.get_run(run_id)
    history = {
        key: sorted((m.step, m.timestamp, m.value) for m in client.get_metric_history(run_id, key))
        for key in run.data.metrics
    }
    files: list[str] = []
    folders = [""]
    while folders:
        for entry in client.list_artifacts(run_id, folders.pop()):
            (folders if entry.is_dir else files).append(entry.path)
    return {
        "status": run.info.status,
        "metrics": history,
        "params": run.data.params,
        "tags": run.data.tags,
        "data": sorted((each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs),
        "files": sorted(files),
        "runs": len(client.search_runs([run.info.experiment_id])),
    }
