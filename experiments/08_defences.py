"""What is left of other defences once the attacker knows them? One l2 ball, small networks on the embedded digits.

The naive attack climbs the cross-entropy of what it is given; the other one knows what has been done to it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from bench import machine
from torch import Tensor, nn

from robustcnn import Augment, FitConfig, OptimConfig, ThreatModel, build, fit, load
from robustcnn.attacks import PGD
from robustcnn.defences import (
    Disagreement,
    Distilled,
    EachClass,
    Smoothed,
    Squeezed,
    WithDetector,
    certify,
    threshold_for,
)
from robustcnn.results import Share
from robustcnn.runtime import global_seed, seeded
from robustcnn.train import Adversarial

RADII = (0.25, 0.5, 0.75)
NAIVE, KNOWING = PGD(loss="ce", stop=True), PGD(stop=True, restarts=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eps", type=float, default=1.0, help="l2 radius of the attacks")
    parser.add_argument("--sigma", type=float, default=0.25, help="noise of the smoothing")
    parser.add_argument("--count", type=int, default=200, help="test images")
    parser.add_argument("--draws", type=int, default=1000, help="looks at each image for a certificate")
    args = parser.parse_args()
    torch.set_num_threads(1)
    threat, (train, validation, test) = ThreatModel(norm="l2", eps=args.eps), load("digits")
    test = test.sample(min(args.count, len(test)), generator=seeded(0))
    images, labels = next(test.batches(len(test)))

    def trained(**options: Any) -> nn.Module:
        with global_seed(0):
            model = build("smallcnn", train.spec, width=0.25)
        adam = OptimConfig(name="adam", lr=3e-3, schedule="cosine")
        config = FitConfig(epochs=12, batch_size=32, optim=adam, monitor="valid_accuracy", watch=0, **options)
        list(fit(model, train, validation, config, progress=False))
        return model.eval()

    def row(name: str, stands: Callable[[Tensor], Tensor], *tries: tuple[PGD | EachClass, nn.Module]) -> None:
        tried = [images, *(attack(model, images, labels, threat, generator=seeded(0)) for attack, model in tries)]
        shares = [str(Share.of(int(stands(each).sum()), len(labels))) for each in tried]
        print(f"| {name} | {' | '.join(shares)} |", flush=True)

    def right(model: nn.Module) -> Callable[[Tensor], Tensor]:
        return torch.no_grad()(lambda pixels: model(pixels).argmax(1) == labels)

    print(f"{machine()}, torch {torch.__version__}, 1 thread, seed 0, {len(test)} digits, {threat}\n")
    print("| defence | clean | naive attack | attack that knows it |\n|---|---|---|---|")
    plain, noisy = trained(), trained(augment=Augment(noise=args.sigma))
    row("none", right(plain), (NAIVE, plain), (KNOWING, plain))
    student = trained(objective=Distilled(teacher=trained(objective=Distilled(temperature=40)), temperature=40))
    row("distillation at 40", right(student), (NAIVE, student), (KNOWING, student))
    for squeeze in ({"bits": 3}, {"quality": 50}):
        hidden, seen = (Squeezed(plain, **squeeze, straight_through=open) for open in (False, True))
        row(f"squeezing, {squeeze}", right(hidden), (NAIVE, hidden), (KNOWING, seen))
    detector = Disagreement(plain, Squeezed(plain, bits=3, straight_through=True)).eval()
    guarded = WithDetector(plain, detector, threshold_for(detector, validation)).eval()
    row(
        "detection, 5 % false alarms",
        lambda pixels: guarded.stands(pixels, labels),
        (NAIVE, plain),
        (EachClass(), guarded),
    )
    judge, one, many = (Smoothed(noisy, sigma=args.sigma, draws=draws) for draws in (64, 1, 16))
    row(f"smoothing, sigma {args.sigma:g}", right(judge), (NAIVE, one), (PGD(), many))
    robust = trained(objective=Adversarial(threat=threat, steps=5, warmup=0.3))
    row("adversarial training", right(robust), (NAIVE, robust), (KNOWING, robust))
    print("\n| certified, at l2 radius | " + " | ".join(f"{radius:g}" for radius in RADII) + " |\n|---|---|---|---|")
    for name, model in {"plain network": plain, "trained with noise": noisy}.items():
        found = certify(model, test, sigma=args.sigma, draws=args.draws)
        print(f"| {name} | " + " | ".join(str(share) for _, share in found.curve(RADII)) + " |", flush=True)


if __name__ == "__main__":
    main()
