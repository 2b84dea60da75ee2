"""Where are eyes, nose and mouth: can a CNN say it in numbers, and how far can an attacker push its answer?

The lecture's network and recipe for Kaggle's facial keypoints: 32, 64 and 128 filters, dropout .1, .2, .3 and .5,
learning rate .03 -> .0001 and momentum .9 -> .999, half of each batch mirrored with left and right exchanged, patience.
Drawn faces by default; --csv takes Kaggle's training.csv. The lecture's best error was 1.3 pixels after hours; the
mean of all faces is the baseline. FGSM and PGD climb the error itself.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from lib.lesson import Lesson, lesson_arguments, lesson_options, percent
from torch import Tensor

from robustcnn import FGSM, PGD, ThreatModel
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.data.sets.drawn_faces import MIRRORED, POINTS, draw_faces
from robustcnn.data.sets.keypoints import SIDE, Keypoints, read_keypoints, scaled
from robustcnn.models.beyond import WithinTolerance, keypoint_cnn
from robustcnn.report import picture_rows
from robustcnn.report.plots import lines
from robustcnn.train.optimisation.optim import OptimConfig
from robustcnn.train.tensors import HEAD, Pairs, TensorFit, fit_tensors

ORDER = torch.tensor(MIRRORED)


def mirrored(images: Tensor, points: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Every second face mirrored; then left is right, and what was across is minus that."""
    chosen = torch.rand(len(images), generator=generator) < 0.5
    flipped = points.view(-1, len(POINTS), 2)[:, ORDER] * torch.tensor([-1.0, 1.0])
    there = torch.where(chosen[:, None], flipped.flatten(1), points)
    return torch.where(chosen[:, None, None, None], images.flip(3), images), there


def faces(csv: Path | None, count: int, seed: int) -> list[Keypoints]:
    """Training, validation and test part."""
    if csv is None:
        drawn = draw_faces(count, size=SIDE, seed=seed)
        known = Keypoints(drawn.images.float() / 255, scaled(drawn.points))
    else:
        known = read_keypoints(csv)
    order = torch.randperm(len(known.images), generator=seeded(seed))
    tenth = max(1, len(order) // 10)
    parts = order[2 * tenth :], order[:tenth], order[tenth : 2 * tenth]
    return [Keypoints(known.images[part], known.points[part]) for part in parts]


def pixels(said: Tensor, true: Tensor) -> float:
    """Root mean squared error in pixels."""
    return SIDE / 2 * math.sqrt(F.mse_loss(said, true).item())


def marked(images: Tensor, points: Tensor) -> Tensor:
    """White dots where the points are said to be."""
    shown = images.clone()
    places = ((points.view(-1, len(POINTS), 2) + 1) * SIDE / 2).round().long().clamp(1, SIDE - 2)
    for image, face in zip(shown, places.tolist(), strict=True):
        for across, down in face:
            image[:, down - 1 : down + 2, across - 1 : across + 2] = 1.0
    return shown


def main() -> None:
    parser = lesson_options(__doc__, "41-keypoints")
    parser.add_argument("--csv", type=Path, help="Kaggle's training.csv")
    parser.add_argument("--faces", type=int, default=1000, help="to draw")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=500)
    parser.add_argument("--patience", type=int, default=10)
    parser.add_argument("--tolerance", type=float, default=3.0, help="pixels that count as near enough")
    args = lesson_arguments(parser, faces=150, epochs=3, hidden=100)
    train, valid, test = faces(args.csv, args.faces, args.seed)
    # Momentum near 1 adds up a thousand steps: the rate must be small by then, as the lecture has it.
    optim = OptimConfig(name="nesterov", lr=0.03, lr_end=0.0001, schedule="linear", momentum=0.9, momentum_end=0.999)
    with Lesson(args, f"{len(train.images)} faces of {SIDE}x{SIDE} pixels, {len(POINTS)} points") as lesson:
        with global_seed(args.seed):
            net = keypoint_cnn(hidden=args.hidden)
        config = TensorFit(epochs=args.epochs, batch_size=16, optim=optim, patience=args.patience, seed=args.seed)
        print(HEAD)
        history = []
        for epoch in fit_tensors(net, Pairs(*train), Pairs(*valid), F.mse_loss, config, change=mirrored):
            print(epoch, flush=True)
            history.append(epoch)
            lesson.metrics({"train_loss": epoch.train_loss, "valid_loss": epoch.valid_loss}, step=epoch.epoch)
        losses = {
            name: [(float(each.epoch), getattr(each, name)) for each in history]
            for name in ("train_loss", "valid_loss")
        }
        lesson.picture("loss", lines(losses, across="epoch", up="mean squared error", log="y"))
        with torch.no_grad():
            said, mean = net.eval()(test.images), train.points.mean(0).expand_as(test.points)
        lesson.head("method", "error in pixels", "seconds")
        lesson.row("the mean of all faces", f"{pixels(mean, test.points):.2f}", "-")
        lesson.row("CNN", f"{pixels(said, test.points):.2f}", f"{sum(each.seconds for each in history):.0f}")
        lesson.metrics({"error_pixels": pixels(said, test.points)})
        lesson.say(f"\nHow far the answer is pushed; near enough is {args.tolerance:g} pixels\n")
        lesson.head("eps", "attack", "error in pixels", "faces near enough")
        judge = WithinTolerance(net, test.points, args.tolerance * 2 / SIDE).eval()
        near, rows = torch.zeros(len(test.images), dtype=torch.int64), {"as it is": marked(test.images, said)}
        for level in (2, 4, 8):
            for name, attack in {"FGSM": FGSM(), "PGD-20": PGD(steps=20)}.items():
                moved = attack(judge, test.images, near, ThreatModel(eps=level / 255))
                with torch.no_grad():
                    answer, stands = net(moved), judge(moved).argmax(1) == 0
                lesson.row(
                    f"{level}/255", name, f"{pixels(answer, test.points):.2f}", percent(float(stands.double().mean()))
                )
            rows[f"PGD, {level}/255"] = marked(moved, answer)
        lesson.picture("faces", picture_rows({name: each[:8] for name, each in rows.items()}))


if __name__ == "__main__":
    main()
