"""An hour of mixed work in one process: does anything grow, or get lost, and is the last round like the first?

    python experiments/soak_hour.py --minutes 60

A round trains a run, attacks its network in seven ways, evaluates it and asks MLflow's page for it. After each round
this process's memory, threads and open files, the server's memory and the bytes not uploaded yet are counted. At the
end every run must be in the store, with the weights and the report of the first.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

import torch
from soak_kills import timeless

from robustcnn import ThreatModel, load, load_checkpoint
from robustcnn.attacks import APGD, FAB, FGSM, PGD, DeepFool, Square, Swift, craft
from robustcnn.cli.main import main as robustcnn
from robustcnn.data.registry import DataConfig
from robustcnn.data.resident import as_pixels
from robustcnn.tracking import Spool, Store, read_place, serve, sync

SMALL = "--data.name digits --data.size 8 --model.name smallcnn --model.width 0.1 --fit.epochs 2 --threads 1"
EVALUATE = "--suite quick --count 40 --eps 0.05 --threads 1"
ATTACKS = (FGSM(), PGD(steps=10), APGD(steps=20), Square(queries=50), FAB(steps=10, targets=2), DeepFool(), Swift())
MEASURES = ("MiB", "threads", "open files", "MiB of the server", "bytes not uploaded")
SLACK = {"MiB": 0.02, "MiB of the server": 0.05}
"""By what share the medians of the last and of the second quarter may differ; all else must be the same."""


def memory(process: int | str) -> float:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096 / 2**20


def servers() -> list[int]:
    """The processes that serve MLflow's page."""
    found = subprocess.run(["pgrep", "-f", "mlflow.*server"], capture_output=True, text=True).stdout
    return list(map(int, found.split()))


def asked(words: str) -> None:
    if status := robustcnn(words.split()):
        raise SystemExit(f"robustcnn {words} ended with {status}")


def looked(address: str) -> int:
    """What the page asks for: the experiments, and the runs of each; how many runs there are."""

    def search(what: str, **body: object) -> dict[str, list[dict[str, str]]]:
        data, kind = json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{address}/api/2.0/mlflow/{what}/search", data=data, headers=kind)
        with urllib.request.urlopen(request) as answer:
            return dict(json.load(answer))

    numbers = [each["experiment_id"] for each in search("experiments", max_results=100)["experiments"]]
    return len(search("runs", experiment_ids=numbers, max_results=5000).get("runs", []))


def left(run: Path) -> dict[str, object]:
    """What a round leaves, but for times and its name."""
    (page,) = run.glob("evaluations/*/report.json")
    report = json.dumps(timeless(json.loads(page.read_text()))).replace(run.name, "round")
    return {"report": report, **{path.name: path.read_bytes() for path in run.glob("*.safetensors")}}


def one(number: int, runs: Path, address: str) -> dict[str, float]:
    name = f"round{number:04d}"
    asked(f"train {SMALL} --name {name} --runs {runs}")
    model, test = load_checkpoint(runs / name), load(DataConfig(name="digits", size=8)).test.subset(torch.arange(32))
    for attack in ATTACKS:
        craft(attack, model, as_pixels(test.images), test.labels, ThreatModel(eps=0.1))
    asked(f"evaluate {name} {EVALUATE} --runs {runs}")
    sync(runs / name)
    place = read_place(runs / name)
    waiting = Spool(runs / name).size - (place.sent if place else 0)
    looked(address)
    gc.collect()
    counts = (len(list(Path(f"/proc/self/{each}").iterdir())) for each in ("task", "fd"))
    return dict(zip(MEASURES, (memory("self"), *counts, sum(map(memory, servers())), waiting), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--quick", action="store_true", help="two rounds")
    options = parser.parse_args()
    torch.set_num_threads(1)
    start, rounds = time.monotonic(), []
    with tempfile.TemporaryDirectory() as scratch:
        runs = Path(scratch) / "mlruns" / "checkpoints"
        asked(f"train {SMALL} --name first --runs {runs}")
        with serve(Store.of(runs)) as address:
            while len(rounds) < 2 or (not options.quick and time.monotonic() - start < 60 * options.minutes):
                rounds.append(one(len(rounds), runs, address))
                print(len(rounds), {name: round(value, 1) for name, value in rounds[-1].items()}, flush=True)
            stored = looked(address)
        first = left(runs / "round0000")
        differ = sum(left(runs / f"round{number:04d}") != first for number in range(len(rounds)))
        quarter = max(len(rounds) // 4, 1)
        for name in MEASURES:
            parts = rounds[quarter : 2 * quarter], rounds[-quarter:]
            early, late = (median(each[name] for each in part) for part in parts)
            grown = abs(late - early) > SLACK.get(name, 0) * early
            print(f"{name}: {early:.0f}, at the end {late:.0f}{'  GROWN' if grown else ''}")
    took = (time.monotonic() - start) / 60
    print(f"{len(rounds)} rounds in {took:.0f} minutes; {stored} of {len(rounds) + 1} runs are in the store")
    print(f"{differ} rounds left other weights or another report than the first")


if __name__ == "__main__":
    main()
