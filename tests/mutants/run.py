"""Which small mistakes do the tests notice? python tests/mutants/run.py [WORDS OF A NAME] [--again] [--minutes 10]

Each mutant of the catalogue is applied to a copy of the sources, alone, and the fast tests of its room are run until the
first failure: those nearest to the changed file first, and all others for mutants that survive these. A test that fails on
the sources as they are has killed nobody. Outcomes are kept in mlruns/mutants.json and not asked for again, but for those
that survived; after so many minutes no other is begun. The last lines say how many were killed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import NoReturn

import foolbox  # noqa: F401
import pytest
import scipy.stats  # noqa: F401
import sklearn.metrics  # noqa: F401
import torch
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
    "models/": ["tests/models", "tests/train"],
    "tracking/": ["tests/tracking", "tests/runs"],
    "runs/": ["tests/runs", "tests/cli"],
}
"""Where the tests of a file are; the longest beginning counts."""
OPTIONS = ["-x", "-q", "-o", "addopts=", "-p", "no:nbmake", "-p", "no:xdist", "-p", "no:cacheprovider", "--no-header"]
OPTIONS += ["-m", "not slow and not data and not browser"]
SO_FAR = "survived the nearest tests"
ALIVE = ("survived", "stale", "broken")
FEW = 2
"""Files of tests that are tried before all others of a room ..."""
STRICT = {room: ["tests/attacks/test_reference.py"] for room in ("attacks/", "core/norms/")}
"""... and those that notice most there."""
PATIENCE = 400
"""Seconds of processor time, after which tests that never end are a failure that somebody notices: several times what a
room takes."""


def room_of(file: str) -> str:
    return max((start for start in ROOMS if file.startswith(start)), key=len)


def tests_of(file: str) -> tuple[list[str], list[str]]:
    """Of the file's room: a few that are named after it or speak most of what it defines, and all others."""
    files = [each for folder in ROOMS[room_of(file)] for each in sorted((ROOT / folder).rglob("test_*.py"))]
    defined = re.findall(r"^(?:class|def) ([A-Za-z]\w*)", (ROOT / "robustcnn" / file).read_text(), re.MULTILINE)
    words, stem = re.compile(rf"\b({'|'.join([Path(file).stem, *defined])})\b"), Path(file).stem

    def far(test: Path) -> tuple[bool, int]:
        return test.stem.removeprefix("test_") not in stem, -len(words.findall(test.read_text()))

    names = [str(each.relative_to(ROOT)) for each in sorted(files, key=far)]
    nearest = [*dict.fromkeys([*names[:FEW], *STRICT.get(room_of(file), [])])]
    return nearest, [each for each in names if each not in nearest]


def is_killed(mutant: Mutant, tests: list[str]) -> str:
    """The test that failed, or `survived`."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "robustcnn", Path(folder) / "robustcnn")
        path = Path(folder) / "robustcnn" / mutant.file
        source = path.read_text()
        if source.count(mutant.old) != 1:
            return f"stale: {mutant.old!r} stands {source.count(mutant.old)} times in {mutant.file}"
        path.write_text(source.replace(mutant.old, mutant.new))
        return _tested(tests, folder)


@cache
def fails_anyway(test: str) -> bool:
    """On the sources as they are: then it has killed nobody."""
    return _tested([test], str(ROOT)) != "survived"


def _tested(tests: list[str], folder: str) -> str:
    """In a child of this process, which has loaded what takes long to load, and none of the sources."""
    with tempfile.NamedTemporaryFile("w+") as output:
        child = os.fork()
        if not child:
            _test(tests, folder, output.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = Path(output.name).read_text(errors="replace")
    if code == 0:
        return "survived"
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return "never ended"
    failed = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split(" - ")[0].split(" ", 1)[1] if failed else f"broken: {said[-200:]}"


def _test(tests: list[str], folder: str, output: int) -> NoReturn:
    """Never returns: the child ends with what pytest says."""
    code = 99
    try:
        os.chdir(ROOT)
        # Processes that tests start shall find the copy too, and not this tree in their working directory.
        os.environ |= {"PYTHONPATH": folder, "PYTHONSAFEPATH": "1"}
        sys.path.insert(0, folder)
        for stream in (1, 2):
            os.dup2(output, stream)
        resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, PATIENCE))
        code = int(pytest.main([*OPTIONS, *tests]))
    finally:
        sys.stdout.flush()
        os._exit(code)


def asked(mutant: Mutant, before: str | None) -> str:
    """By the nearest tests first; by all others of the room when it is asked for again."""
    nearest, others = tests_of(mutant.file)
    outcome = is_killed(mutant, others if before == SO_FAR and others else nearest)
    if outcome == "survived" and before != SO_FAR and others:
        return SO_FAR
    killer = outcome.startswith("tests/")
    return f"broken: {outcome} fails without it" if killer and fails_anyway(outcome) else outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="of a name: those mutants alone")
    parser.add_argument("--again", action="store_true", help="ask again for all of them")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no other is begun")
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes
    known = json.loads(KEPT.read_text()) if KEPT.is_file() and not args.again else {}
    chosen = [mutant for mutant in MUTANTS if " ".join(args.words) in mutant.name]
    # The nearest tests for all of them, then the rest of the room for the few that survived those.
    for mutant in [*(each for each in chosen if each.name not in known), *chosen]:
        if time.monotonic() < end and known.get(mutant.name, "stale").startswith(ALIVE):
            known[mutant.name] = asked(mutant, known.get(mutant.name))
            KEPT.parent.mkdir(exist_ok=True)
            KEPT.write_text(json.dumps(known, indent=1))
            print(f"{mutant.name:<50} {known[mutant.name]}", flush=True)
    told = [mutant.name for mutant in chosen if mutant.name in known]
    alive = [name for name in told if known[name].startswith(ALIVE)]
    print(f"\n{len(told) - len(alive)} of {len(told)} killed; not: {'; '.join(alive) or 'none'}")
    if len(told) < len(chosen):
        print(f"{len(chosen) - len(told)} not asked for yet: start it again")


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    main()
