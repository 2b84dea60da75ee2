"""What is left of other defences once the attacker knows them? One l2 ball, small networks on the embedded digits.

The naive attack climbs the cross-entropy of what it is given; the others know what has been done to it, and count by
their worst for each image: AutoPGD, its targeted form, and Square, which needs no gradient that could be hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import torch
from lib.opening import options, read, say_machine, table_head, table_row
from torch import Tensor, nn

from robustcnn import Augment, FitConfig, OptimConfig, ThreatModel, build, defences, fit, load
from robustcnn.attacks import APGD, PGD, Square
from robustcnn.attacks.base import Attack
from robustcnn.core.results import Share
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.train import Adversarial

Try = tuple[Attack, nn.Module]
"""An attack, and what it is shown."""
Stands = Callable[[nn.Module, Tensor], Tensor]
NAIVE = PGD(loss="ce", stop=True)
KNOWING: tuple[Attack, ...] = (APGD(steps=50), APGD(steps=50, loss="dlr", targets=9), Square(queries=1000))


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--eps", type=float, default=1.5, help="l2 radius of the attacks")
    parser.add_argument("--sigma", type=float, default=0.25, help="noise of the smoothing")
    parser.add_argument("--count", type=int, default=120, help="test images")
    parser.add_argument("--draws", type=int, default=1000, help="looks at each image for a certificate")
    parser.add_argument("--epochs", type=int, default=12, help="of each network")
    args = read(parser, count=3, draws=40, epochs=2)
    threat, (train, validation, test) = ThreatModel(norm="l2", eps=args.eps), load("digits")
    test = test.sample(min(args.count, len(test)), generator=seeded(0))
    images, labels = next(test.batches(len(test)))

    def trained(**options: Any) -> nn.Module:
        with global_seed(0):
            model = build("smallcnn", train.spec, width=0.25)
        adam = OptimConfig(name="adam", lr=3e-3, schedule="cosine")
        config = FitConfig(epochs=args.epochs, batch_size=32, optim=adam, monitor="valid_accuracy", watch=0, **options)
        list(fit(model, train, validation, config, progress=False))
        return model.eval()

    def right(model: nn.Module, pixels: Tensor) -> Tensor:
        return model(pixels).argmax(1) == labels

    @torch.no_grad()
    def row(name: str, model: nn.Module, naive: Try, knowing: Iterable[Try], stands: Stands = right) -> None:
        def after(attack: Attack, face: nn.Module) -> Tensor:
            return stands(model, attack(face, images, labels, threat, generator=seeded(0)))

        # An alarm at a clean image is a mistake, at an attacked one it is not.
        hits = [right(model, images), after(*naive), torch.stack([after(*each) for each in knowing]).all(0)]
        table_row(name, *(Share.of(int(each.sum()), len(each)) for each in hits))

    say_machine("seed 0", f"{len(test)} digits", threat)
    table_head("defence", "clean", "naive attack", "attack that knows it")
    plain = trained()
    row("none", plain, (NAIVE, plain), product(KNOWING, [plain]))
    student = trained(objective=defences.Distilled(teacher=trained(objective=defences.Distilled())))
    row("distillation", student, (NAIVE, student), product(KNOWING, [student]))
    for name, squeeze in {"3 bits": {"bits": 3}, "JPEG 50": {"quality": 50}}.items():
        hidden, seen = (defences.Squeezed(plain, **squeeze, straight_through=known) for known in (False, True))
        row(name, hidden, (NAIVE, hidden), product(KNOWING, [seen]))
    detector = defences.Disagreement(plain, defences.Squeezed(plain, bits=3, straight_through=True)).eval()
    guarded = defences.WithDetector(plain, detector, defences.threshold_for(detector, validation)).eval()
    tries = [(defences.EachClass(), guarded)]
    row("detector", guarded, (NAIVE, plain), tries, stands=lambda model, tried: model.stands(tried, labels))
    noisy = trained(augment=Augment(noise=args.sigma))
    judge, one, many = (defences.Smoothed(noisy, sigma=args.sigma, draws=draws) for draws in (64, 1, 16))
    row(f"smoothing by {args.sigma:g}", judge, (NAIVE, one), [(PGD(), many)])
    robust = trained(objective=Adversarial(threat=threat, steps=5, warmup=0.3))
    row("adversarial training", robust, (NAIVE, robust), product(KNOWING, [robust]))
    certified = defences.certify(noisy, test, sigma=args.sigma, draws=args.draws).curve((0.2, 0.4, 0.6))
    print("\nSmoothing, certified: " + "; ".join(f"l2 {radius:g}: {share}" for radius, share in certified))


if __name__ == "__main__":
    main()
