"""Do two workers do a list of evaluations in half the time of one, and what does handing out a piece cost?

Three small networks on digits, two attacks; the whole command is timed, its start, reports and pages included. An
empty piece is one image and an attack that gives it back: what is left is sending, judging and keeping.

    python experiments/43_lists.py            fifteen minutes
    python experiments/43_lists.py --quick    to try it
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from robustcnn import ThreatModel, __version__, build, load
from robustcnn.evaluate import Plan
from robustcnn.evaluate.parts import Parts
from robustcnn.evaluate.pieces import Job, Piece, alone
from robustcnn.runs.find_model import SourceConfig
from robustcnn.runs.pool import PoolConfig
from robustcnn.runs.pool.crew import PoolCrew
from robustcnn.runs.pool.dask_pool import connected
from robustcnn.runs.pool.parcels import Recipe
from robustcnn.runs.pool.turn import Turn

NAMES = ("one", "two", "three")
TRAIN = "train --data.name digits --model.name smallcnn --fit.epochs 1 --threads 1 --no-track"
ASKED = ["--eps", "0.1", "--threads", "1", "--no-track", "--no-checks", "--attacks"]


@dataclass(frozen=True)
class Nothing:
    """Gives the images back."""

    def __call__(self, _: object, images: Tensor, *__: object, **___: object) -> Tensor:
        return images.clone()


def command(words: list[str], folder: Path) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "robustcnn", *words], cwd=folder, check=True, stdout=-3, stderr=-3)
    return time.perf_counter() - start


def whole(folder: Path, names: tuple[str, ...], workers: int, *, quick: bool) -> float:
    """Seconds of the whole command with so many workers, nothing being on disk: some two minutes with one."""
    for name in names:
        shutil.rmtree(folder / "mlruns/checkpoints" / name / "evaluations", ignore_errors=True)
    attacks, count = (["fgsm"], "12") if quick else (["pgd(steps=200, restarts=2)", "apgd(restarts=4)"], "359")
    return command(["evaluate", *names, "--count", count, *ASKED, *attacks, "--workers", str(workers)], folder)


def empty(count: int, folder: Path) -> float:
    """Seconds a piece."""
    test = load("digits").test
    data, threat = test.subset(count), ThreatModel(norm="linf", eps=0.1)
    plan = Plan(attacks=(Nothing(),), threats=(threat,), precision="fp32", block=1, seed=0)
    model = build("logistic", data.spec, seed=0).eval()
    job = Job(model=model, data=data, plan=plan, clean=torch.zeros(count, data.spec.num_classes), batch_size=32)
    turn, parts = Turn(), Parts(folder / "empty", {"what": "empty pieces"})
    recipe = Recipe(text="", runs=folder, which="best", source=SourceConfig(), place=folder)

    about = {"attack": Nothing(), "threat": threat, "seed": 0}

    def chains(rows: range) -> list:  # type: ignore[type-arg]
        return [alone(Piece(name=str(row), rows=torch.tensor([row]), **about)) for row in rows]

    with connected(PoolConfig(workers=1), say=print) as pool, turn.mine():
        heard = {"expect": lambda _: None, "done": lambda: None}
        crew = PoolCrew(pool=pool, turn=turn, recipe=recipe, device="cpu", threads=1, version=__version__, **heard)
        crew.work(job, chains(range(5)), parts)
        start = time.perf_counter()
        crew.work(job, chains(range(5, count)), parts)
        return (time.perf_counter() - start) / (count - 5)


def draw(seconds: dict[int, float], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 3), layout="constrained")
    axes = figure.subplots()
    axes.bar([str(each) for each in seconds], list(seconds.values()), color="#4c72b0", width=0.5)
    axes.plot(range(len(seconds)), [seconds[1] / each for each in seconds], "k--")
    axes.set(xlabel="workers", ylabel="seconds for the list", ylim=(0, None))
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names, few = (NAMES[:2], ["--data.limit", "200"]) if given.quick else (NAMES, [])
        for seed, name in enumerate(names):
            command([*TRAIN.split(), *few, "--name", name, "--fit.seed", str(seed)], folder)
        seconds = {workers: whole(folder, names, workers, quick=given.quick) for workers in (1, 2)}
        piece = empty(20 if given.quick else 300, folder)
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}, one thread a worker\n")
    print("| workers | seconds | times as fast |\n|---|---|---|")
    for workers, each in seconds.items():
        print(f"| {workers} | {each:.1f} | {seconds[1] / each:.2f} |")
    print(f"\nan empty piece: {1e3 * piece:.1f} ms")
    if given.figure:
        draw(seconds, given.figure)


if __name__ == "__main__":
    main()
