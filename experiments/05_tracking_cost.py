"""How much of a one-minute run does tracking cost? Each word to the tracker is timed, and the wait at the end.

The run sleeps where it would train. MLflow works in a process beside it, whose processor time is told as well.
"""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import torch
from lib.opening import options, read, say_machine, table_head, table_row

from robustcnn import FitConfig, build, fit, load
from robustcnn.core.plain_data import to_plain
from robustcnn.core.results import AttackScore, RobustnessReport, Share, ThreatScore
from robustcnn.evaluate.metrics import metrics
from robustcnn.tracking import SpooledTracker

EPOCHS = 20


def report(classes: tuple[str, ...]) -> RobustnessReport:
    """As large as a usual one: three attacks at five eps."""
    each = metrics(torch.randn(500, len(classes)), torch.arange(500) % len(classes), classes)
    score = AttackScore(attack="PGD", metrics=each, first=1, kept_as_bytes=Share.of(1, 1), distances={}, seconds=1.0)
    one = {"norm": "linf", "robust": each.accuracy, "worst": each, "attacks": (score,) * 3}
    balls = tuple(ThreatScore(eps=level / 255, **one) for level in (1, 2, 4, 8, 16))
    about = {"model": "m", "data": "digits", "fingerprint": "00ff", "count": 500}
    return RobustnessReport(clean=each, threats=balls, smallest=(), **about)


def run(folder: Path, seconds: float, *, export: bool) -> dict[str, list[float]]:
    """Milliseconds that each word took."""
    splits, config, times = load("digits"), FitConfig(epochs=EPOCHS), defaultdict(list)
    first = next(fit(build("smallcnn", splits.train.spec), *splits[:2], config, folder=folder, progress=False))

    def timed(word: str, *arguments: object) -> None:
        start = time.perf_counter()
        getattr(tracker, word)(*arguments)
        times[word].append(1_000 * (time.perf_counter() - start))

    start = time.perf_counter()
    tracker = SpooledTracker(folder, say=lambda _: None)
    times["open"].append(1_000 * (time.perf_counter() - start))
    timed("config", to_plain(config))
    timed("data", splits.train, "training")
    for number in range(1, EPOCHS + 1):
        time.sleep(seconds / EPOCHS)
        timed("epoch", type(first)(**(to_plain(first) | {"epoch": number})))
    timed("report", report(splits.train.classes))
    for word in ("checkpoint", *(["model"] if export else []), "close"):
        timed(word)
    return times


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="length of the run")
    parser.add_argument("--runs", nargs="+", default=["first in a new store", "later", "later, with export"])
    args = read(parser, seconds=0.5, runs=["first in a new store"])
    say_machine(f"a run of {args.seconds:g} s and {EPOCHS} epochs", "local store (SQLite)")
    table_head("run", "word", "times", "median ms", "share of the run, %")
    with tempfile.TemporaryDirectory() as parent:
        for name in args.runs:
            times = run(Path(parent) / "checkpoints" / name, args.seconds, export="export" in name)
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            times["**all words**"] = [sum(map(sum, times.values()))]
            times["processor time beside the runs, in all"] = [1_000 * (used.ru_utime + used.ru_stime)]
            for word, each in times.items():
                share = sum(each) / args.seconds / 10
                table_row(name, word, len(each), f"{statistics.median(each):.1f}", f"{share:.2f}")


if __name__ == "__main__":
    main()
