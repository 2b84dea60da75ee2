"""Two commands at once on one run: is there ever a second owner, or a record that lies?

    python experiments/soak_races.py --races 50 --seed 0

Each race starts the same two processes a random moment apart: two trainings of one name with different seeds, two that
resume one run, two that evaluate it, or two that search in one study. Whoever comes second finds all done or ends
with one line; what is left must be what one process alone would have left, to the byte but for times.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from soak_kills import timeless

SMALL = "--data.name digits --data.size 8 --model.name smallcnn --model.width 0.1 --threads 1 --no-track"
TRAIN = f"train {SMALL} --fit.epochs 4 --name one"
EVALUATE = "evaluate one --suite quick --count 60 --eps 0.05 0.1 --threads 1 --no-track --no-checks"
SWEEP = (
    "sweep --study one --vary fit.optim.lr=log(1e-3,1e-1) --trials 3 --train.data.name digits --train.data.size 8 "
    "--train.model.name logistic --train.fit.epochs 1 --train.threads 1 --train.no-track"
)
SEEDS = (0, 5)
KINDS = {
    "train": (f"{TRAIN} --fit.seed {SEEDS[0]}", f"{TRAIN} --fit.seed {SEEDS[1]}"),
    "resume": ("train --resume one",) * 2,
    "evaluate": (EVALUATE,) * 2,
    "sweep": (SWEEP,) * 2,
}
"""What is started at once."""


def start(command: str, runs: Path) -> subprocess.Popen[str]:
    option = "--train.runs" if command.startswith("sweep") else "--runs"
    words = [sys.executable, "-m", "robustcnn", *command.split(), option, str(runs)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def raced(commands: tuple[str, str], runs: Path, apart: float) -> list[tuple[int, str]]:
    """Status and last words of both."""
    first = start(commands[0], runs)
    time.sleep(apart)
    second = start(commands[1], runs)
    ended = []
    for process in (first, second):
        _, said = process.communicate(timeout=600)
        ended.append((process.returncode, said))
    return ended


def weights(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.glob("*.safetensors")}


def report(run: Path) -> object:
    (page,) = run.glob("evaluations/*/report.json")
    return timeless(json.loads(page.read_text()))


class Truth:
    """What one process alone leaves, and a run whose owner was killed in the middle."""

    def __init__(self, folder: Path) -> None:
        self.runs = {seed: folder / f"seed{seed}" for seed in SEEDS}
        for seed, runs in self.runs.items():
            start(f"{TRAIN} --fit.seed {seed}", runs).communicate()
        start(EVALUATE, self.runs[0]).communicate()
        self.broken = folder / "broken"
        process = start(TRAIN, self.broken)
        while not (self.broken / "one/checkpoint.json").exists():
            time.sleep(0.02)
        process.kill()
        process.communicate()

    def copied(self, kind: str, runs: Path) -> None:
        """Where a race of this kind starts from."""
        if kind in ("resume", "evaluate"):
            source = self.broken if kind == "resume" else self.runs[0]
            shutil.copytree(source / "one", runs / "one", ignore=shutil.ignore_patterns("evaluations"))

    def agrees(self, kind: str, runs: Path, ended: list[tuple[int, str]]) -> bool:
        """Whether what is left is what one process would have left."""
        if kind == "sweep":
            return trials(runs) == 3
        if kind == "evaluate":
            return report(runs / "one") == report(self.runs[0] / "one")
        seed = json.loads((runs / "one/run.json").read_text())["config"]["fit"]["seed"]
        if kind == "train":
            winner = next(place for place, (status, _) in enumerate(ended) if not status)
            if seed != SEEDS[winner]:
                return False
        return weights(runs / "one") == weights(self.runs[seed] / "one")


def trials(runs: Path) -> int:
    """Trainings that were finished in the study."""
    return len([page for page in runs.glob("one*/run.json") if list(page.parent.glob("*.safetensors"))])


def fair(kind: str, ended: list[tuple[int, str]]) -> bool:
    """Whether at least one got through, and who did not says why in one line."""
    refused = [said for status, said in ended if status]
    allowed = {"train": (1,), "sweep": (0,)}.get(kind, (0, 1))
    polite = all(said.count("\n") == 1 and "Traceback" not in said for said in refused)
    return len(refused) in allowed and all(status in (0, 2) for status, _ in ended) and polite


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--races", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="one race of each kind")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    moments, wrong, done = random.Random(options.seed), 0, Counter[str]()
    with tempfile.TemporaryDirectory() as scratch:
        truth = Truth(Path(scratch))
        for race in range(len(options.kinds) if options.quick else options.races):
            kind = options.kinds[race % len(options.kinds)]
            # Beside a folder of runs lie the studies: each race has its own.
            runs = Path(tempfile.mkdtemp(dir=scratch)) / "runs"
            runs.mkdir()
            truth.copied(kind, runs)
            ended = raced(KINDS[kind], runs, moments.choice((0.0, moments.uniform(0, 4))))
            good = fair(kind, ended) and truth.agrees(kind, runs, ended)
            half = list(runs.rglob("*.partial"))
            wrong += not good or bool(half)
            done[kind] += 1
            print(f"{kind:<9} ends {[status for status, _ in ended]}  {'right' if good else 'WRONG'}", flush=True)
            if not good:
                print([said[-300:] for _, said in ended], flush=True)
    print(f"{sum(done.values())} races ({dict(done)}): {wrong} ended wrong")


if __name__ == "__main__":
    main()
