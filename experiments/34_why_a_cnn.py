"""Why a CNN: what do locality, shared weights and subsampling bring, and who notices when a digit moves or turns?

The same small CNN with one of its three ideas switched off at a time, and an MLP. All learn digits that stand in the
middle; then the digits are moved by 0 to 6 pixels, turned by up to 45 degrees, mirrored, and attacked.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from lib.classroom import PLAIN, accuracy, robust, some, splits
from lib.lesson import Lesson, lesson_arguments, lesson_options, percent
from lib.why_cnn import variants
from torch import Tensor

from robustcnn import fit
from robustcnn.data.augment.warps import affine, shift
from robustcnn.report import picture_rows
from robustcnn.report.plots import lines


def moved(images: Tensor, pixels: int) -> list[Tensor]:
    """By so many pixels up, down, left and right."""
    none, far = torch.zeros(len(images), dtype=torch.int64), torch.full((len(images),), pixels)
    ways = ((far, none), (-far, none), (none, far), (none, -far))
    return [shift(images, down, across, reach=pixels) for down, across in ways] if pixels else [images]


def turned(images: Tensor, degrees: int) -> list[Tensor]:
    """Either way."""
    one = torch.ones(len(images))
    return [affine(images, side * degrees * one, one) for side in (-1, 1)] if degrees else [images]


def main() -> None:
    parser = lesson_options(__doc__, "34-why-a-cnn")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--images", type=int, default=10_000, help="to train on")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--eps", type=float, default=0.05, help="linf")
    parser.add_argument("--count", type=int, default=2000, help="test images")
    args = lesson_arguments(parser, data="digits", images=500, epochs=2, count=60)
    data = splits(args.data, limit=args.images)
    test = some(data.test, args.count)
    images, labels = next(test.batches(len(test)))
    pixels, angles = (0, 1, 2, 3, 4, 5, 6), (0, 10, 20, 30, 45)
    with Lesson(
        args, f"{len(data.train):,} images of {args.data}, {args.epochs} passes, {len(test)} to test"
    ) as lesson:
        lesson.head(
            "network", "parameters", "as it is", "moved by 2", "by 4", "turned by 20", "by 45", "mirrored", "PGD-20"
        )
        shifts, turns = {}, {}
        for name, model in variants(data.train.spec, args.seed).items():
            list(
                fit(
                    model,
                    data.train,
                    data.validation,
                    replace(PLAIN, epochs=args.epochs, seed=args.seed),
                    progress=False,
                )
            )
            model.eval()

            def right(pictures: list[Tensor]) -> float:
                return sum(accuracy(model, each, labels) for each in pictures) / len(pictures)  # noqa: B023

            shifts[name] = [(float(each), right(moved(images, each))) for each in pixels]
            turns[name] = [(float(each), right(turned(images, each))) for each in angles]
            by_shift, by_turn = dict(shifts[name]), dict(turns[name])
            shares = [
                by_shift[0],
                by_shift[2],
                by_shift[4],
                by_turn[20],
                by_turn[45],
                accuracy(model, images.flip(3), labels),
            ]
            (stands,) = robust(model, test, [args.eps])
            count = sum(parameter.numel() for parameter in model.parameters())
            lesson.row(name, f"{count:,}", *map(percent, shares), percent(stands))
            lesson.metrics({f"{name}/accuracy": shares[0], f"{name}/moved_4": shares[2], f"{name}/robust": stands})
        lesson.picture("moved", lines(shifts, across="pixels moved", up="accuracy", percent=True))
        lesson.picture("turned", lines(turns, across="degrees turned", up="accuracy", percent=True))
        some_digits = images[:10]
        rows = {
            "as it is": some_digits,
            "moved by 4": moved(some_digits, 4)[0],
            "turned by 45": turned(some_digits, 45)[1],
        }
        lesson.picture("digits", picture_rows(rows | {"mirrored": some_digits.flip(3)}))


if __name__ == "__main__":
    main()
