"""Which networks have a fast view, and what it is worth: writes docs/zoo.md, and goes on where it was stopped.

python experiments/zoo.py [PART] [--seconds 600]: only networks whose name contains PART, the smallest first; no new
one after that time.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests" / "fast")]

from beginners import NETWORKS  # noqa: E402
from textbook import compare  # noqa: E402
from zoo import names, network, others_warnings, parameters, pictures  # noqa: E402

PAGE = HERE.parent / "docs" / "zoo.md"
RULE = "Rule of comparison: 6."
"""Raised whenever `compare` or the pictures change: the rows of a page with another number are made anew."""
HEAD = f"""# Other people's networks

Every network below is attacked by `craft` with FGSM, PGD and APGD, and by loops as a textbook writes them on the
untouched network; both end at the same pictures (`tests/fast/test_zoo.py`, `tests/fast/test_beginners.py`). *Way*
says whether a fast view agreed with the network, and so was searched with, or the plain network was. *Gain* is the
textbook's CPU time (three steps of PGD on six pictures, one thread, one run on a shared machine: +-20 %)
divided by ours; the making of the view, some tenths of a second to seconds, is not in it. Weights are fresh, classes
ten, pictures of the smallest size among 64, 96, 128, 224, 240 and 256 pixels that the network takes. Five of
torchvision's networks have more than 150 million parameters and are left out: convnext_large, regnet_y_128gf, vit_l_16,
vit_l_32, vit_h_14.

Made by `python experiments/zoo.py`. {RULE}

| network | pixels | way | gain | what is said |
|---|---|---|---|---|
"""


def row(name: str) -> str:
    try:
        if name in NETWORKS:
            case, images = NETWORKS[name], pictures(24, 32)
            outcome = compare(case.make(), images, eps=0.03, dtype=case.dtype)
        else:
            model, images = network(name)
            outcome = compare(model, images)
    except Exception as problem:
        return f"| {name} | | **fails** | | {' '.join(str(problem).split())[:160]} |"
    said = outcome.said.rpartition("slower: ")[2][:110].replace("|", "/")
    way = "fast" if outcome.is_fast else "plain"
    return f"| {name} | {images.shape[2]} | {way} | {outcome.gain:.2f} | {said} |"


def rows_so_far() -> dict[str, str]:
    page = PAGE.read_text() if PAGE.exists() else ""
    lines = page.splitlines() if RULE in page else []
    return {
        line.split(" | ")[0].removeprefix("| "): line
        for line in lines
        if line.startswith("| ") and "| way |" not in line
    }


def page(rows: dict[str, str], listed: list[str]) -> str:
    """The rows in their order; how many are missing is said first."""
    found = [f"{rows[each]}\n" for each in listed if each in rows]
    left = f"**{len(found)} of {len(listed)} networks so far**; the script goes on with the others.\n\n"
    head, table = HEAD.split("| network |")
    return head + (left if len(found) < len(listed) else "") + "| network |" + table + "".join(found)


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("part", nargs="?", default="")
    reader.add_argument("--seconds", type=float, default=float("inf"))
    options = reader.parse_args()
    end = time.monotonic() + options.seconds
    listed, rows = [*NETWORKS, *names()], rows_so_far()
    missing = [name for name in listed if options.part in name and name not in rows]
    for name in sorted(missing, key=lambda name: 0 if name in NETWORKS else parameters(name)):
        if time.monotonic() < end:
            start = time.process_time()
            with others_warnings():
                rows[name] = row(name)
            print(f"{rows[name]} {time.process_time() - start:.1f} s", flush=True)
            PAGE.write_text(page(rows, listed))
    print(f"{len(rows)} of {len(listed)} rows")


if __name__ == "__main__":
    main()
