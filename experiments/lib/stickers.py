"""RP2 on drawn signs and on photographs, with its tables."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.opening import table_head, table_row
from lib.victims import RECIPES, victim
from robustcnn import DataConfig, FitConfig, OptimConfig, ResidentDataset, build, fit, load
from robustcnn.attacks import PGD, RP2
from robustcnn.attacks.sticker import INKS, Sticker
from robustcnn.attacks.sticker_masks import graffiti, two_bars, whole_sign
from robustcnn.channel import Photo
from robustcnn.core.results import Share
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.data.resident import spec_of
from robustcnn.data.signs.road_signs import SIGNS, front_view
from robustcnn.data.signs.scenes import Conditions
from robustcnn.data.signs.street import Street
from robustcnn.evaluate.stickers import StickerScore, sticker_score
from robustcnn.report.contact_sheet import contact_sheet

FINE = 64
"""Pixels of a front view, and of the sticker on it."""
POSTER = RP2(snap=False, printability=0.0, closeness=20.0)
"""No nine inks can look like a whole sign: a poster keeps near its colours instead."""
USUAL = Conditions()
CONDITIONS = {
    "near": replace(USUAL, scale=(0.85, 0.95)),
    "middle": replace(USUAL, scale=(0.65, 0.75)),
    "far": replace(USUAL, scale=(0.5, 0.55)),
    "from the front (turned 5 degrees at most)": replace(USUAL, yaw=5.0, pitch=5.0, roll=5.0),
    "turned up to 60 degrees (training saw 40)": replace(USUAL, yaw=60.0),
    "dusk": replace(USUAL, light=(0.5, 0.65)),
    "day": replace(USUAL, light=(0.9, 1.05)),
    "glare": replace(USUAL, light=(1.15, 1.25)),
}


def cells(score: StickerScore) -> list[object]:
    return [score.clean, score.targeted, score.fooled]


def head(first: str) -> None:
    print()
    table_head(first, "stop recognised without sticker", "of these: taken for the target", "for any sign but stop")


def sheet(rows: dict[str, Tensor], path: Path) -> None:
    """A row of twelve views for each sticker."""
    images = (255 * torch.cat(list(rows.values()))).round().to(torch.uint8)
    labels = torch.arange(len(rows)).repeat_interleave(12)
    contact_sheet(ResidentDataset(images=images, labels=labels, spec=spec_of(images, tuple(rows)))).save(path)


def on_drawn_signs(args: argparse.Namespace) -> None:
    train, validation, test = load(DataConfig(name="signs", drawn=args.drawn))
    recipe = args.recipe(RECIPES["signs"])
    kinds = {"plain": "plain", "adversarially trained": "pgd"}
    models = {name: victim(recipe, kind, args.victims, train, validation).eval() for name, kind in kinds.items()}
    images, truth = next(test.batches(400))
    for network, model in models.items():
        attacked = PGD(steps=20, stop=True)(model, images, truth, recipe.threat, generator=seeded(0))
        right = [int((model(each).argmax(1) == truth).sum()) for each in (images, attacked)]
        clean, robust = (Share.of(each, len(truth)) for each in right)
        print(f"{network}: {clean} of the test pictures right, {robust} under PGD-20, {recipe.threat}.")
    sign, outline = front_view("stop", size=FINE)
    masks = {"two bars": two_bars(FINE, FINE), "graffiti": graffiti(FINE, FINE), "whole sign": whole_sign(FINE, FINE)}
    labels = {"label": SIGNS.index("stop"), "target": SIGNS.index(args.target)}
    street, bars, rows = Street(outline=outline), {}, {}
    head(f"stop -> {args.target}: network, mask (part of the sign)")
    inks = torch.tensor(INKS)
    chance = inks[torch.randint(len(INKS), (FINE // 4, FINE // 4), generator=seeded(args.seed))].permute(2, 0, 1)[None]
    blind = Sticker(colours=F.interpolate(chance, (FINE, FINE)), mask=masks["two bars"] * outline)
    for network, model in models.items():
        control = sticker_score(
            model, blind, sign[None], **labels, channel=street, views=args.views, seed=args.seed + 1
        )
        table_row(f"{network}, two bars of chance inks, a control", *cells(control))
        rows |= {f"{kinds[network]}: no sticker": Sticker(colours=sign[None], mask=torch.zeros(1, 1, FINE, FINE))}
        for name, mask in masks.items():
            search, covered = POSTER if name == "whole sign" else RP2(), mask * outline
            search = replace(search, steps=args.steps, views=args.batch)
            sticker = search(
                model, sign[None], covered, target=labels["target"], channel=street, generator=seeded(args.seed)
            )
            score = sticker_score(
                model, sticker, sign[None], **labels, channel=street, views=args.views, seed=args.seed + 1
            )
            table_row(f"{network}, {name} ({covered.sum() / outline.sum():.0%})", *cells(score))
            rows[f"{kinds[network]}: {name}"] = sticker
            bars.setdefault(network, sticker)
    for network, model in models.items():
        head(f"two bars, {network} network")
        for name, conditions in CONDITIONS.items():
            seen = replace(street, conditions=conditions)
            score = sticker_score(
                model, bars[network], sign[None], **labels, channel=seen, views=args.views // 2, seed=args.seed + 2
            )
            table_row(name, *cells(score))
    near = replace(street, size=FINE, conditions=CONDITIONS["near"])
    views = {name: near(each.on(sign.expand(12, -1, -1, -1)), generator=seeded(9)) for name, each in rows.items()}
    sheet(views, args.picture)


def network(train: ResidentDataset, validation: ResidentDataset, seed: int) -> nn.Module:
    with global_seed(seed):
        model = build("smallcnn", train.spec, width=0.25)
    optim = OptimConfig(name="adam", lr=2e-3, schedule="cosine", warmup=0.05)
    list(fit(model, train, validation, FitConfig(epochs=8, batch_size=64, optim=optim, seed=seed), progress=False))
    return model.eval()


def on_photographs(args: argparse.Namespace) -> None:
    """GTSRB: 14 is stop, 1 and 2 are speed limits 30 and 50."""
    train, validation, test = load(f"npz:{args.gtsrb}")
    model, box = network(train, validation, args.seed), (0.12, 0.12, 0.88, 0.88)
    seen, held_out = (part.images[part.labels == 14].float() / 255 for part in (train, test))
    head(f"GTSRB, {len(seen)} photographs to search on, {len(held_out)} others to judge on: target, mask")
    for target, limit in {1: "speed limit 30", 2: "speed limit 50"}.items():
        for name, mask in {"two bars": two_bars(32, 32, sign=box), "whole sign": whole_sign(32, 32, sign=box)}.items():
            sticker = RP2(steps=args.steps, views=args.batch)(
                model, seen, mask, target=target, channel=Photo(), generator=seeded(args.seed)
            )
            score = sticker_score(
                model, sticker, held_out, label=14, target=target, channel=Photo(), views=args.views, seed=args.seed + 1
            )
            table_row(f"{limit}, {name} ({mask.mean():.0%} of the picture)", *cells(score))
