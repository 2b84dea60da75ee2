"""Does a training, pre-training or evaluation that is killed at a random moment end as one that never was?

    python experiments/soak_kills.py --kills 24 --seed 0

Each round starts a command, kills it with SIGKILL after a random time, goes on with it until it ends, and compares what
it left with what an undisturbed one left: weights to the byte, the report but for times.
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
from pathlib import Path

SMALL = "train --data.name digits --data.size 8 --model.name smallcnn --model.width 0.1 --threads 1 --no-track"
SPEECH = {
    "train": f"{SMALL} --fit.epochs 12",
    "adversarial": f"{SMALL} --fit.epochs 6 --objective adversarial --threat.eps 0.1",
    "pretrain": "pretrain digits-dcgan --data.size 16 --model.width 0.06 --fit.epochs 6 --fit.samples 40 --threads 1 "
    "--no-track",
    "evaluate": "evaluate model --suite quick --count 200 --eps 0.05 0.1 --threads 1 --no-track --no-checks",
}
COMMANDS = {kind: words.split() for kind, words in SPEECH.items()}


def command(kind: str, runs: Path, *, resume: bool) -> list[str]:
    verb, *rest = COMMANDS[kind]
    if verb == "evaluate":
        return [verb, *rest, "--runs", str(runs)]
    return (
        [verb, "--resume", kind, "--runs", str(runs)] if resume else [verb, *rest, "--name", kind, "--runs", str(runs)]
    )


def run(kind: str, runs: Path, *, resume: bool, patience: float | None = None) -> tuple[bool, str]:
    """Whether it ended by itself, and what it said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "robustcnn", *command(kind, runs, resume=resume)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        told, _ = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False, ""
    if process.returncode:
        raise SystemExit(f"{kind} failed: {told[-600:]}")
    return True, told


def left(kind: str, runs: Path) -> dict[str, object]:
    """What must be the same however it was interrupted."""
    if kind == "evaluate":
        (page,) = (runs / "model").glob("evaluations/*/report.json")
        return timeless(json.loads(page.read_text()))
    return {path.name: path.read_bytes() for path in (runs / kind).glob("*.safetensors")}


def timeless(value: object) -> object:
    if isinstance(value, dict):
        return {key: timeless(each) for key, each in value.items() if key not in ("seconds", "made_by")}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def killed(kind: str, runs: Path, moments: random.Random, longest: float) -> int:
    """Kill it up to three times, then let it end; gives the number of kills."""
    kills = 0
    page = {"pretrain": "pretrain.json"}.get(kind, "run.json")
    for _ in range(moments.randint(1, 3)):
        ended, _ = run(kind, runs, resume=(runs / kind / page).exists(), patience=moments.uniform(0.5, longest))
        if ended:
            return kills
        kills += 1
    run(kind, runs, resume=(runs / kind / page).exists())
    return kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="four kills")
    options = parser.parse_args()
    moments, kills, differ = random.Random(options.seed), dict.fromkeys(COMMANDS, 0), 0
    with tempfile.TemporaryDirectory() as scratch:
        whole, took = Path(scratch) / "whole", {}
        model = [*COMMANDS["train"], "--name", "model", "--runs", str(whole)]
        subprocess.check_output([sys.executable, "-m", "robustcnn", *model])
        for kind in COMMANDS:
            start = time.perf_counter()
            run(kind, whole, resume=False)
            took[kind] = time.perf_counter() - start
        while sum(kills.values()) < (4 if options.quick else options.kills):
            kind = min(kills, key=lambda each: kills[each])
            broken = Path(tempfile.mkdtemp(dir=scratch))
            shutil.copytree(whole / "model", broken / "model", ignore=shutil.ignore_patterns("evaluations"))
            kills[kind] += killed(kind, broken, moments, took[kind])
            same, partial = left(kind, whole) == left(kind, broken), list(broken.rglob("*.partial"))
            differ += not same or bool(partial)
            verdict = "same" if same else "DIFFERENT"
            print(f"{kind:<12} kills {kills[kind]:>3}  {verdict}  half-written files {len(partial)}", flush=True)
    print(f"{sum(kills.values())} kills ({kills}): {differ} ended differently")


if __name__ == "__main__":
    main()
