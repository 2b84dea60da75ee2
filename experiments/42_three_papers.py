"""Panda, print and stop sign: do the papers' figures come out with the networks at hand, and what do they hang on?

Goodfellow et al. 2015 (one step turns a panda into a gibbon), Kurakin et al. 2017 (it survives a print and a photo),
Eykholt et al. 2018 (stickers turn a stop sign into a speed limit), on one page. Without photographs and weights a small
stand-in on drawn signs takes all three parts; with them ImageNet's SqueezeNet takes the first.

    python experiments/42_three_papers.py --pictures cat.jpg dog.jpg --weights squeezenet1_0_torchvision.pth
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from lib.classroom import PLAIN, clean, some, splits, trained
from lib.lesson import Lesson, lesson_arguments, lesson_options, percent
from PIL import Image

from robustcnn import ThreatModel, seeded
from robustcnn.attacks import RP2
from robustcnn.attacks.sticker_masks import two_bars
from robustcnn.channel import Photo
from robustcnn.data.signs.road_signs import SIGNS, front_view
from robustcnn.data.signs.street import Street
from robustcnn.evaluate.destruction import kurakin_attacks, photographed
from robustcnn.evaluate.stickers import sticker_score
from robustcnn.report import picture_rows
from robustcnn.runs.attack_pictures import DEMO, AttackVerb, attack_pictures

PAPER = {(16, "fast"): 12.5, (16, "basic iterative"): 40.4, (16, "least likely"): 72.2}
HANGS_ON = """
What each figure hangs on: the panda's on the range that eps counts in (0.007 of an input that spans 2 is about one grey
level of 255), on the crop and on rounding to whole grey levels; the print's on the strength of the photograph; the
sign's on the views that are shown. Each is varied above."""
FINE = 64
"""Pixels of the sign that stickers are made for."""


def panda(lesson: Lesson, args: argparse.Namespace) -> None:
    """One small step, and what becomes of it: by the range that eps counts in, the crop, and rounding."""
    lesson.say("\nPanda to gibbon\n")
    lesson.head("network, picture", "eps counts in", "frame", "before", "after", "as PNG", "as JPEG 75")
    lesson.row(
        "GoogLeNet, panda (the paper)", "its own input, 0.007", "crop", "panda 57.7 %", "gibbon 99.3 %", "-", "-"
    )
    base = DEMO
    if args.pictures:
        base = AttackVerb(model="squeezenet1_0", weights=args.weights)
    for unit in ("pixels", "model"):
        for framing in ("crop", "squash"):
            config = replace(base, eps_range=unit, framing=framing, out=args.out / f"panda-{unit}-{framing}")
            if unit == "model" and not args.pictures:
                config = replace(config, eps=tuple(4 * eps for eps in base.eps))
            if framing == "squash" and not args.pictures:
                continue
            for done in attack_pictures(args.pictures, config):
                attempt = done.attempts[done.shown]
                kept = list(attempt.survives.values())
                what = f"{config.model}, {Path(done.picture).stem}", f"{unit}, {attempt.eps:.4g}", framing
                lesson.row(*what, done.clean[0], attempt.answers[0], *("yes" if kept[at] else "no" for at in (0, -1)))
                lesson.picture(f"panda-{unit}-{framing}-{Path(done.picture).stem}", Image.open(done.figure))


def main() -> None:
    parser = lesson_options(__doc__, "42-three-papers")
    parser.add_argument("--pictures", type=Path, nargs="*", default=[], help="photographs")
    parser.add_argument("--weights", type=Path, help="file of torchvision's squeezenet1_0")
    parser.add_argument("--drawn", type=int, default=6000, help="signs to train on")
    parser.add_argument("--count", type=int, default=200, help="signs that are printed and photographed")
    parser.add_argument("--views", type=int, default=500, help="of the stop sign, held out")
    parser.add_argument("--steps", type=int, default=RP2().steps, help="of the search for stickers")
    args = lesson_arguments(parser, drawn=700, count=24, views=40, steps=8)
    with Lesson(args, "three papers, the networks at hand") as lesson:
        panda(lesson, args)
        data = splits("signs", drawn=args.drawn)
        net = trained("smallcnn", data, replace(PLAIN, epochs=6, seed=args.seed), width=0.25)
        lesson.say(f"\nPrinted and photographed: a small CNN on drawn signs ({percent(clean(net, data.test))} right)\n")
        lesson.head(
            "eps",
            "attack",
            "destroyed by the photo",
            "paper (Inception, ImageNet)",
            "destroyed by one of half the strength",
        )
        few = some(data.test, args.count)
        for name, attack in kurakin_attacks(16 / 255).items():
            whole, half = (
                photographed(
                    net, few, attack, ThreatModel(eps=16 / 255), channel=Photo(strength=strength), seed=args.seed
                )
                for strength in (1.0, 0.5)
            )
            lesson.row("16/255", name, whole.destroyed, f"{PAPER[16, name]} %", half.destroyed)
            lesson.metrics({f"destroyed/{name}": whole.destroyed.value or 0.0})
        lesson.say("\nStickers on a stop sign\n")
        lesson.head("network", "views recognised without", "taken for the speed limit", "for any other sign")
        lesson.row("LISA-CNN (the paper)", "all", "100 % in the lab, 84.8 % driving by", "-")
        sign, outline = front_view("stop", size=FINE)
        label, target, street = SIGNS.index("stop"), SIGNS.index("speed limit 45"), Street(outline=outline)
        mask = two_bars(FINE, FINE) * outline
        search = replace(RP2(), steps=args.steps)
        sticker = search(net, sign[None], mask, target=target, channel=street, generator=seeded(args.seed))
        score = sticker_score(net, sticker, sign[None], label=label, target=target, channel=street, views=args.views)
        lesson.row("a small CNN on drawn signs", score.clean, score.targeted, score.fooled)
        lesson.metrics({"stickers/targeted": score.targeted.value or 0.0})
        views = {
            "bare": sign[None].expand(8, -1, -1, -1),
            "with stickers": sticker.on(sign[None]).expand(8, -1, -1, -1),
        }
        lesson.picture(
            "stickers", picture_rows({name: street(each, generator=seeded(5)) for name, each in views.items()})
        )
        lesson.say(HANGS_ON)


if __name__ == "__main__":
    main()
