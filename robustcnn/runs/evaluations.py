"""What is on disk about a run: how it was trained, its epochs, and its evaluations."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from robustcnn.core.atomic_files import write_atomically
from robustcnn.core.json_files import read_value
from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.core.results import RobustnessReport, Scores, ThreatScore
from robustcnn.models import checkpoint
from robustcnn.report.entry import Entry
from robustcnn.report.gallery import Gallery, read_gallery, write_gallery
from robustcnn.runs.train_config import TRAINING

FOLDER = "evaluations"
"""In a run's folder."""
REPORT, GALLERY = "report.json", "gallery.safetensors"


def keep(folder: Path, report: RobustnessReport, gallery: Gallery) -> None:
    """An evaluation's outcome on disk."""
    write_atomically(folder / REPORT, json.dumps(to_plain(report), indent=1).encode())
    write_gallery(folder / GALLERY, gallery)


def latest(run: Path) -> Path | None:
    """The folder of a run's last finished evaluation."""
    reports = sorted(run.glob(f"{FOLDER}/*/{REPORT}"), key=lambda path: path.stat().st_mtime)
    return reports[-1].parent if reports else None


def strongest(run: Path) -> Entry:
    """A run with its headline: in each ball the lowest robust accuracy that any of its evaluations found.

    Only evaluations of the same examples as the last one count. The rest is of the one that was lowest in most balls;
    `made_by` tells which evaluation found what.
    """
    last = latest(run)
    if last is None:
        return entry_of(run, None)
    folders = sorted(path.parent for path in run.glob(f"{FOLDER}/*/{REPORT}"))
    known = {folder: read_report(folder) for folder in folders}
    known = {folder: report for folder, report in known.items() if report.fingerprint == known[last].fingerprint}
    lowest: dict[tuple[str, float], tuple[Path, ThreatScore]] = {}
    # Of equals the last evaluation's stays.
    for folder in (last, *known):
        for score in known[folder].threats:
            ball = score.norm, score.eps
            if ball not in lowest or score.robust.hits < lowest[ball][1].robust.hits:
                lowest[ball] = folder, score
    finders = [folder for folder, _ in lowest.values()]
    chief = max((last, *known), key=finders.count)
    norms = list(dict.fromkeys(norm for norm, _ in lowest))
    ordered = sorted(lowest, key=lambda ball: (norms.index(ball[0]), ball[1]))
    found_by = {f"lowest in {norm} {eps:.4g}": lowest[norm, eps][0].name for norm, eps in ordered}
    entry = entry_of(run, chief)
    threats = tuple(lowest[ball][1] for ball in ordered)
    return replace(entry, report=replace(known[chief], threats=threats, made_by=known[chief].made_by | found_by))


def entry_of(run: Path, evaluation: Path | None) -> Entry:
    """All that is on disk about a run, with an evaluation if there is one."""
    if evaluation is None and not (run / TRAINING.record).is_file():
        raise FileNotFoundError(f"{run} holds neither a run nor an evaluation (robustcnn train makes runs)")
    if evaluation is None:
        return training_of(run)
    return replace(training_of(run), report=read_report(evaluation), gallery=read_gallery(evaluation / GALLERY))


def training_of(run: Path) -> Entry:
    """What is known of how the model in this folder was trained; only its name when nothing is."""
    path = run / TRAINING.record
    record = TRAINING.read(run) if path.is_file() else {}
    tested = record.get("test")
    best = tested.get("best") if isinstance(tested, dict) else None
    return Entry(
        name=run.resolve().name,
        history=checkpoint.read_page(run).history if (run / checkpoint.PAGE).is_file() else (),
        scores=_scores(best, path) if best else None,
        config=tuple(json.dumps(record.get("config"), indent=1).splitlines()) if record else (),
    )


def _scores(plain: object, path: Path) -> Scores:
    try:
        return from_plain(Scores, plain, where="test.best")
    except ValueError as problem:
        raise ValueError(f"{path}: {problem} (train the run again)") from None


def read_report(evaluation: Path) -> RobustnessReport:
    """A report that was kept, every key checked."""
    return read_value(RobustnessReport, evaluation / REPORT, cure="evaluate the run again")
