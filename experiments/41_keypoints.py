"""Where are eyes, nose and mouth: can a CNN say it in numbers, and how far can an attacker push its answer?

The lecture's network for Kaggle's facial keypoints: 32, 64 and 128 filters, dropout .1, .2, .3 and .5, half of each
batch mirrored with left and right exchanged, patience. Its schedule (rate .03 -> .0001, momentum .9 -> .999, which adds
up a thousand steps) needs hundreds of passes: --recipe lecture --epochs 400; by default Adam does it in a few. Drawn
faces; --csv takes Kaggle's training.csv. The mean of all faces is the baseline. FGSM and PGD climb the error itself.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from lib.face_points import faces, marked, mirrored, pixels
from lib.lesson import Lesson, lesson_arguments, lesson_options, percent

from robustcnn import FGSM, PGD, ThreatModel
from robustcnn.core.runtime import global_seed
from robustcnn.data.sets.drawn_faces import POINTS
from robustcnn.data.sets.keypoints import SIDE
from robustcnn.models.beyond import WithinTolerance, keypoint_cnn
from robustcnn.report import picture_rows
from robustcnn.report.plots import lines
from robustcnn.train.optimisation.optim import OptimConfig
from robustcnn.train.tensors import HEAD, Pairs, TensorFit, fit_tensors

RECIPES = {
    "short": OptimConfig(name="adam", lr=1e-3, schedule="one-cycle"),
    "lecture": OptimConfig(name="nesterov", lr=0.03, lr_end=1e-4, schedule="linear", momentum=0.9, momentum_end=0.999),
}


def main() -> None:
    parser = lesson_options(__doc__, "41-keypoints")
    parser.add_argument("--csv", type=Path, help="Kaggle's training.csv")
    parser.add_argument("--faces", type=int, default=1000, help="to draw")
    parser.add_argument("--recipe", choices=RECIPES, default="short")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=500)
    parser.add_argument("--patience", type=int, default=10)
    parser.add_argument("--tolerance", type=float, default=3.0, help="pixels that count as near enough")
    args = lesson_arguments(parser, faces=150, epochs=3, hidden=100)
    train, valid, test = faces(args.csv, args.faces, args.seed)
    with Lesson(args, f"{len(train.images)} faces of {SIDE}x{SIDE} pixels, {len(POINTS)} points") as lesson:
        with global_seed(args.seed):
            net = keypoint_cnn(hidden=args.hidden)
        config = TensorFit(
            epochs=args.epochs, batch_size=16, optim=RECIPES[args.recipe], patience=args.patience, seed=args.seed
        )
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
