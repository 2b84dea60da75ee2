"""Do adversarial examples survive a photograph of their print? Kurakin et al. 2017, print and photo simulated.

Their networks and camera are not ours: Inception v3 on ImageNet at 299 pixels against a small network on drawn road
signs at 32 pixels, so that the order of the attacks can be compared, and single figures hardly.
"""

from __future__ import annotations

import time

from lib.opening import options, read, say_machine, table_head, table_row
from torch import nn

from robustcnn import DataConfig, FitConfig, OptimConfig, ResidentDataset, ThreatModel, build, fit, load
from robustcnn.attacks import Through
from robustcnn.channel import PARTS, Photo
from robustcnn.core.runtime import global_seed
from robustcnn.evaluate.destruction import PhotoScore, kurakin_attacks, photographed

PAPER = {(16, "fast"): 12.5, (16, "basic iterative"): 40.4, (16, "least likely"): 72.2}
PAPER |= {(8, "fast"): 33.3, (8, "basic iterative"): 52.1, (8, "least likely"): 86.3}
"""Destruction rates in per cent, top-1, photographs of prints."""


def trained(train: ResidentDataset, validation: ResidentDataset, seed: int) -> nn.Module:
    with global_seed(seed):
        model = build("smallcnn", train.spec, width=0.25)
    optim = OptimConfig(name="adam", lr=2e-3, schedule="cosine", warmup=0.05)
    list(fit(model, train, validation, FitConfig(epochs=6, optim=optim, seed=seed), progress=False))
    return model.eval()


def cells(score: PhotoScore) -> list[object]:
    return [score.adversarial, score.adversarial_photo, score.destroyed]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", default="signs")
    parser.add_argument("--count", type=int, default=300, help="test pictures")
    parser.add_argument("--strength", type=float, default=1.0, help="of the photograph, 0 to 1")
    parser.add_argument("--draws", type=int, default=8, help="draws of the photograph a step, for EOT")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--levels", type=int, nargs="+", default=[2, 4, 8, 16], help="eps in grey levels")
    parser.add_argument("--drawn", type=int, default=12_000, help="signs to train on")
    args = read(parser, count=16, draws=2, drawn=600, levels=[16])
    start, photo = time.process_time(), Photo(strength=args.strength)
    train, validation, test = load(DataConfig(name=args.data, drawn=args.drawn))
    model, test = trained(train, validation, args.seed), test.subset(args.count)
    say_machine(f"seed {args.seed}", "smallcnn", f"first {len(test)} test pictures of {args.data}", photo)
    ends = ("digital", "photographed", "destroyed")
    table_head("eps", "attack", *ends, "destroyed, paper", *(f"EOT: {end}" for end in ends))
    orders = []
    for level in args.levels:
        threat, rates = ThreatModel(eps=level / 255), []
        for name, attack in kurakin_attacks(threat.eps).items():
            plain, knowing = (
                photographed(model, test, each, threat, channel=photo, seed=args.seed)
                for each in (attack, Through(attack=attack, channel=photo, draws=args.draws))
            )
            paper = f"{PAPER[level, name]} %" if (level, name) in PAPER else "not at hand"
            table_row(level, name, *cells(plain), paper, *cells(knowing))
            rates.append(plain.destroyed.value or 0.0)
        orders.append(f"eps {level}: {'holds' if rates == sorted(set(rates)) else 'does not hold'}")
    print(f"\nClean accuracy: {plain.clean}, photographed {plain.clean_photo}.")
    print(f"fast < basic iterative < least likely: {'; '.join(orders)}.\n")
    print("One part of the photograph at a time, basic iterative, eps 16:\n")
    table_head("part", "clean photographed", "destroyed")
    for part in PARTS:
        alone = Photo(strength=args.strength, parts=(part,))
        attack = kurakin_attacks(16 / 255)["basic iterative"]
        score = photographed(model, test, attack, ThreatModel(eps=16 / 255), channel=alone, seed=args.seed)
        table_row(part, score.clean_photo, score.destroyed)
    print(f"\n{time.process_time() - start:.0f} s of CPU.")


if __name__ == "__main__":
    main()
