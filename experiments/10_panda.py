"""Panda to gibbon on other photographs: does an unseen change of 0.007 make a network sure of something else?

The paper's eps counts in GoogLeNet's input range, [-1, 1], where 0.007 is 0.9/255 in pixels; both ways are run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from bench import machine

from robustcnn.runs.attack_pictures import Attacked, AttackVerb, Range, attack_pictures

PAPER = "| panda (the paper, GoogLeNet) | panda 57.7 % | gibbon 99.3 % | | | | |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+", help="photographs")
    parser.add_argument("--model", default="googlenet", help="a torchvision classifier")
    parser.add_argument("--weights", type=Path, help="its weights, where torchvision's cache has none")
    parser.add_argument("--out", type=Path, default=Path("mlruns/attacked"), help="folder for the figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}, torch {torch.__version__}, 1 thread, {args.model}, FGSM without randomness, one run")
    for unit in ("pixels", "model"):
        out = args.out / unit
        config = AttackVerb(model=args.model, weights=args.weights, smallest=True, eps_range=unit, along=True, out=out)
        table(attack_pictures(args.pictures, config), unit)


def table(done: list[Attacked], unit: Range) -> None:
    where = "pixels from 0 to 1" if unit == "pixels" else "the network's own normalised input"
    print(f"\neps 0.007 in {where}\n")
    print("| picture | clean | adversarial | smallest eps | PNG | JPEG 95 | JPEG 75 |\n|---|---|---|---|---|---|---|")
    print(PAPER)
    for each in done:
        attempt = each.attempts[0]
        # Of the change as it is in pixels, the mean over the channels where the network scales them apart.
        grey = "none" if each.smallest is None else f"{255 * each.smallest * each.pixel_unit:.2f}/255"
        kept = " | ".join("yes" if kept else "no" for kept in attempt.survives.values())
        reached = str(attempt.answers[0]) if attempt.reached else f"still {attempt.answers[0]}"
        print(f"| {Path(each.picture).stem} | {each.clean[0]} | {reached} | {grey} | {kept} |", flush=True)


if __name__ == "__main__":
    main()
