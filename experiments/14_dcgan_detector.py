"""Does a DCGAN's discriminator tell attacked images from clean ones, and what is left once the attacker knows it?

Its score is minus the discriminator's logit: how little an image looks real. The threshold gives 5 % of false alarms on
validation images. AUC and `caught` are of attacked images that fool the classifier; an AUC of 50 % is chance. `stands`
is the share of all test images that are answered rightly as they are and, when attacked, rightly or by an alarm.

    python experiments/14_dcgan_detector.py --data fashion-mnist
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from lib.dcgans import BATCH, epochs_of, pretrained
from lib.opening import options, read, say_machine, table_head, table_row
from torch import Tensor, nn

from robustcnn import FitConfig, OptimConfig, ThreatModel, build, fit, load
from robustcnn.attacks import PGD
from robustcnn.core.results import Share
from robustcnn.core.runtime import evaluating, global_seed, seeded
from robustcnn.data.registry import DataConfig
from robustcnn.defences import EachClass, WithDetector, detection, threshold_for
from robustcnn.train.gan.checkpoint import load_discriminator


class Doubt(nn.Module):
    """One score (N,) an image: how sure the discriminator is that it is not real."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.discriminator(images)
        return -logits.squeeze(1)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", nargs="+", default=["fashion-mnist", "digits"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--eps", type=float, nargs="+", default=[0.05, 0.1], help="linf")
    parser.add_argument("--width", type=float, default=0.25, help="of all networks")
    parser.add_argument("--steps", type=int, default=2000, help="of the classifier's training, about")
    parser.add_argument("--gan-steps", type=int, default=4000, help="of each pre-training, about")
    parser.add_argument("--count", type=int, default=200, help="test images")
    parser.add_argument("--gans", type=Path, default=Path("13_dcgans"), help="folder of the pre-trainings")
    short = {"width": 0.1, "steps": 20, "gan_steps": 20, "count": 20}
    args = read(parser, data=["digits"], seeds=[0], eps=[0.1], **short)
    say_machine(f"{args.count} test images", f"smallcnn, width {args.width:g}")
    table_head("data", "seed", "eps", "attack", "clean", "stands", "AUC", "caught", "false alarms")
    for data in args.data:
        for seed in args.seeds:
            rows(data, seed, args)


def rows(data: str, seed: int, args: argparse.Namespace) -> None:
    train, validation, test = load(DataConfig(name=data))
    folder = pretrained(args.gans, data, width=args.width, steps=args.gan_steps, seed=seed)
    detector = Doubt(load_discriminator(folder)).eval()
    with global_seed(seed):
        plain = build("smallcnn", train.spec, width=args.width)
    adam = OptimConfig(name="adam", lr=2e-3, schedule="cosine")
    epochs = epochs_of(args.steps, len(train))
    list(
        fit(plain, train, validation, FitConfig(epochs=epochs, batch_size=BATCH, optim=adam, seed=seed), progress=False)
    )
    threshold = threshold_for(detector, validation)
    guarded = WithDetector(plain.eval(), detector, threshold).eval()
    images, labels = next(test.sample(min(args.count, len(test)), generator=seeded(0)).batches(args.count))
    with torch.no_grad(), evaluating(guarded):
        clean = guarded(images).argmax(1) == labels
    for eps in args.eps:
        threat = ThreatModel(norm="linf", eps=eps)
        for name, attack, face in (("PGD-40", PGD(steps=40), plain), ("one that knows", EachClass(), guarded)):
            tried = attack(face, images, labels, threat, generator=seeded(seed))
            with torch.no_grad():
                fooled = plain(tried).argmax(1) != labels
            stands = guarded.stands(tried, labels) & clean
            shares = [Share.of(int(each.sum()), len(each)) for each in (clean, stands)]
            found: list[object] = ["-"] * 3
            if fooled.any():
                made = detection(detector, images, tried[fooled], threshold=threshold)
                found = [f"{100 * made.auc:.1f} %", made.caught, made.false_alarms]
            table_row(data, seed, f"{eps:g}", name, *shares, *found)


if __name__ == "__main__":
    main()
