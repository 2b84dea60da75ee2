"""Panda to gibbon on other photographs: does an unseen change of 0.007 make a network sure of something else?

The paper's eps counts in GoogLeNet's input range, [-1, 1], where 0.007 is 0.9/255 in pixels; both ways are run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lib.opening import options, read, say_machine, table_head, table_row

from robustcnn.runs.attack_pictures import DEMO, Attacked, AttackVerb, Range, attack_pictures

PAPER = ("panda (the paper, GoogLeNet)", "panda 57.7 %", "gibbon 99.3 %", "", "", "", "")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument(
        "pictures",
        type=Path,
        nargs="*",
        help="photographs; none: a drawn stop sign, for which a small stand-in is trained",
    )
    parser.add_argument("--model", default="googlenet", help="a torchvision classifier")
    parser.add_argument("--weights", type=Path, help="its weights, where torchvision's cache has none")
    parser.add_argument("--out", type=Path, default=Path("mlruns/attacked"), help="folder for the figures")
    args = read(parser)
    say_machine(args.model if args.pictures else "a stand-in on drawn signs", "FGSM without randomness", "one run")
    if not args.pictures:
        demo = replace(DEMO, smallest=True, along=True, out=args.out)
        table(attack_pictures([], demo), "pixels", f"{255 * max(demo.eps):.0f}/255")
        return
    for unit in ("pixels", "model"):
        out = args.out / unit
        config = AttackVerb(model=args.model, weights=args.weights, smallest=True, eps_range=unit, along=True, out=out)
        table(attack_pictures(args.pictures, config), unit, "0.007")


def table(done: list[Attacked], unit: Range, eps: str) -> None:
    where = "pixels from 0 to 1" if unit == "pixels" else "the network's own normalised input"
    print(f"\neps {eps} in {where}\n")
    table_head("picture", "clean", "adversarial", "smallest eps", "PNG", "JPEG 95", "JPEG 75")
    table_row(*PAPER)
    for each in done:
        attempt = each.attempts[0]
        # Of the change as it is in pixels, the mean over the channels where the network scales them apart.
        grey = "none" if each.smallest is None else f"{255 * each.smallest * each.pixel_unit:.2f}/255"
        kept = ["yes" if kept else "no" for kept in attempt.survives.values()]
        reached = str(attempt.answers[0]) if attempt.reached else f"still {attempt.answers[0]}"
        table_row(Path(each.picture).stem, each.clean[0], reached, grey, *kept)


if __name__ == "__main__":
    main()
