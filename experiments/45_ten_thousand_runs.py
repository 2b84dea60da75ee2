"""Does the tracking store stay quick with ten thousand runs of a hundred metrics each?

    python experiments/45_ten_thousand_runs.py            about three minutes, 1 GB on disk while it runs

Rows as `robustcnn` writes them go straight into a SQLite store, which is what MLflow keeps a folder of runs in; then
what its pages ask is timed through MLflow's client, with and without an index on a metric's name and value.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from lib.opening import options, read, say_machine, table_head, table_row
from mlflow import MlflowClient

EPOCHS = 10
NAMES = ["accuracy", "robust_accuracy", "f1", "auc", *(f"clean/metric_{number}" for number in range(86))]
CURVE = "fit/valid_loss"
INDEX = "create index if not exists by_value on latest_metrics (key, value)"
Row = tuple[object, ...]


def fill(path: Path, experiment: str, runs: int) -> list[str]:
    """So many finished runs, with a curve of ten epochs and ninety single numbers; their ids."""
    draw, now = random.Random(0), int(1000 * time.time())
    ids = [uuid.UUID(int=draw.getrandbits(128)).hex for _ in range(runs)]

    def rows() -> Iterator[tuple[str, list[Row]]]:
        for start in range(0, runs, 500):
            part = ids[start : start + 500]
            end = ("FINISHED", now, now + 1, "", "active", "mlruns", experiment, None)
            yield "runs", [(each, f"run-{each[:6]}", "LOCAL", "", "", "me", *end) for each in part]
            curve = [(CURVE, 1 / (step + 1), now, each, step, 0) for each in part for step in range(EPOCHS)]
            single = [(name, draw.random(), now, each, 0, 0) for each in part for name in NAMES]
            yield "metrics", curve + single
            single += [row for row in curve if row[4] == EPOCHS - 1]
            yield "latest_metrics", [(key, value, at, step, nan, run) for key, value, at, run, step, nan in single]
            yield "params", [(f"fit.{name}", str(name), each) for each in part for name in range(20)]
            yield "tags", [("verdict", "pass", each) for each in part]

    with sqlite3.connect(path) as store:
        for table, values in rows():
            store.executemany(f"insert into {table} values ({','.join('?' * len(values[0]))})", values)
    return ids


def questions(client: MlflowClient, experiment: str, ids: list[str]) -> dict[str, Callable[[], object]]:
    def found(where: str = "", by: str = "attributes.start_time DESC", most: int = 100) -> object:
        return client.search_runs([experiment], where, order_by=[by], max_results=most)

    return {
        "the first page of runs": found,
        "the hundred most robust": lambda: found(by="metrics.robust_accuracy DESC"),
        "robust above 0.9, by accuracy": lambda: found("metrics.robust_accuracy > 0.9", "metrics.accuracy DESC"),
        "a verdict, by robust accuracy": lambda: found("tags.verdict = 'pass'", "metrics.robust_accuracy DESC"),
        "one run": lambda: client.get_run(ids[len(ids) // 2]),
        "a chart of 100 runs' losses": lambda: [client.get_metric_history(each, CURVE) for each in ids[:100]],
    }


def seconds(work: Callable[[], object], rounds: int) -> str:
    """The quickest of some rounds by the wall clock, and the CPU time of it: a busy machine only adds to both."""
    times = []
    for _ in range(rounds):
        start, busy = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - start, time.process_time() - busy))
    return "{:.2f} ({:.2f})".format(*min(times))


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5, help="the quickest of so many counts")
    args = read(parser, runs=50, rounds=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        client = MlflowClient(f"sqlite:///{path}")
        experiment = client.create_experiment("many")
        start = time.perf_counter()
        ids = fill(path, experiment, args.runs)
        filled, asked = time.perf_counter() - start, questions(client, experiment, ids)
        plain = {name: seconds(work, args.rounds) for name, work in asked.items()}
        with sqlite3.connect(path) as store:
            store.execute(INDEX)
            store.execute("analyze")
        indexed = {name: seconds(work, args.rounds) for name, work in asked.items()}
        kept = f"{path.stat().st_size / 1e6:,.0f} MB, filled in {filled:.0f} s"
    say_machine(f"SQLite, {args.runs:,} runs of {len(NAMES) + EPOCHS} metrics, {kept}")
    table_head("question", "seconds (of CPU)", "with an index on (key, value)")
    for name in asked:
        table_row(name, plain[name], indexed[name])


if __name__ == "__main__":
    main()
