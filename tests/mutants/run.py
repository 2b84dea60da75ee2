"""Which small mistakes do the tests notice? python tests/mutants/run.py [WORDS OF A NAME] [--again]

Each mutant of the catalogue is applied to a copy of the sources, alone, and the tests of its room are run until the first
failure. Outcomes are kept in mlruns/mutants.json and not asked for again; the last lines say how many were killed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from catalogue import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "mlruns" / "mutants.json"
ROOMS = {
    "attacks/": ["tests/attacks", "tests/fast"],
    "core/norms/": ["tests/core", "tests/attacks"],
    "core/": ["tests/core", "tests/attacks", "tests/evaluate"],
    "evaluate/checks/": ["tests/evaluate/checks"],
    "evaluate/": ["tests/evaluate"],
    "train/": ["tests/train"],
    "data/": ["tests/data"],
}
"""Where the tests of a file are; the longest beginning counts."""


def tests_of(file: str) -> list[str]:
    return ROOMS[max((start for start in ROOMS if file.startswith(start)), key=len)]


def is_killed(mutant: Mutant) -> str:
    """The test that failed, or `survived`."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "robustcnn", Path(folder) / "robustcnn")
        path = Path(folder) / "robustcnn" / mutant.file
        source = path.read_text()
        if source.count(mutant.old) != 1:
            return f"stale: {mutant.old!r} stands {source.count(mutant.old)} times in {mutant.file}"
        path.write_text(source.replace(mutant.old, mutant.new))
        options = ["-x", "-q", "-n0", "-p", "no:cacheprovider", "-m", "not slow and not data", "--no-header"]
        # The pytest on the path, not `-m pytest`, which would put this tree before the copy.
        pytest = str(Path(sys.executable).with_name("pytest"))
        done = subprocess.run(
            [pytest, *options, *tests_of(mutant.file)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": folder, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 0:
        return "survived"
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split(" - ")[0] if failed else f"broken: {(done.stdout + done.stderr)[-200:]}"


def main(arguments: list[str]) -> None:
    again = "--again" in arguments
    words = " ".join(word for word in arguments if word != "--again")
    known = json.loads(KEPT.read_text()) if KEPT.is_file() and not again else {}
    chosen = [mutant for mutant in MUTANTS if words in mutant.name]
    for mutant in chosen:
        if known.get(mutant.name, "stale").startswith(("stale", "survived")):
            known[mutant.name] = is_killed(mutant)
            KEPT.parent.mkdir(exist_ok=True)
            KEPT.write_text(json.dumps(known, indent=1))
        print(f"{mutant.name:<50} {known[mutant.name]}", flush=True)
    alive = [mutant.name for mutant in chosen if known[mutant.name].startswith(("survived", "stale", "broken"))]
    print(f"\n{len(chosen) - len(alive)} of {len(chosen)} killed; not: {'; '.join(alive) or 'none'}")


if __name__ == "__main__":
    main(sys.argv[1:])
