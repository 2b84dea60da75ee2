"""Do printable stickers turn a stop sign into a speed limit, on views that their search has not seen?

RP2 (Eykholt et al. 2018) on drawn signs in drawn streets; with --gtsrb one sticker for all photographs of stop signs
instead.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from lib.opening import options, read, say_machine
from lib.stickers import on_drawn_signs, on_photographs
from lib.victims import Recipe

from robustcnn.attacks import RP2
from robustcnn.data.signs.road_signs import SIGNS


def shortest(recipe: Recipe) -> Recipe:
    return replace(recipe, epochs={"plain": 2, "fgsm": 1, "pgd": 1})


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--victims", type=Path, default=Path("mlruns/victims"), help="folder of the checkpoints")
    parser.add_argument("--target", default="speed limit 45", choices=[name for name in SIGNS if "limit" in name])
    parser.add_argument("--views", type=int, default=1000, help="held-out views to judge on")
    parser.add_argument("--steps", type=int, default=RP2().steps, help="of the search")
    parser.add_argument("--batch", type=int, default=RP2().views, help="views a step of the search")
    parser.add_argument("--drawn", type=int, default=12_000, help="signs to train on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--picture",
        type=Path,
        default=Path("stickers.png"),
        help="where the contact sheet goes; pgd is the adversarially trained network",
    )
    parser.add_argument("--gtsrb", type=Path, help="npz file of GTSRB photographs, to work on these")
    short = {"victims": Path("mlruns/quick-victims"), "views": 20, "steps": 5, "batch": 4, "drawn": 800}
    args = read(parser, **short)
    args.recipe = shortest if args.quick else lambda recipe: recipe
    start = time.process_time()
    say_machine(
        f"seed {args.seed}", "smallcnn at 32 pixels", f"{args.views} held-out views, other seeds than the search's"
    )
    on_photographs(args) if args.gtsrb else on_drawn_signs(args)
    print(f"\n{time.process_time() - start:.0f} s of CPU; the search took {args.steps} steps of {args.batch} views.")


if __name__ == "__main__":
    main()
