"""What has a CNN learned: which edges, parts and objects, where does it look, and what changes under attack?

A plain network beside one trained against PGD. Filters of the first layer, maps layer by layer, pictures that excite a
unit most (edges in the first layer, parts behind, whole objects in the last), saliency, and Grad-CAM on clean and on
adversarial pictures. Numbers: how far gradients are in line with the picture (their cosine, Etmann et al. 2019), how
much of their strength lies on the object, and how much of Grad-CAM's map an attack leaves alone.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from lib.classroom import PLAIN, attacked, clean, robust, some, splits, trained
from lib.lesson import Lesson, lesson_arguments, lesson_options, percent
from torch import Tensor, nn

from robustcnn import ThreatModel, describe
from robustcnn.evaluate.attribution import convolutions, feature_maps, grad_cam, maximise_units, saliency, shown
from robustcnn.report import picture_rows
from robustcnn.train import Adversarial


def in_line(pictures: Tensor, slopes: Tensor) -> float:
    """Cosine between a picture, its mean taken off, and its gradient; sign left aside."""
    away = pictures - pictures.mean((2, 3), keepdim=True)
    return float(F.cosine_similarity(away.flatten(1), slopes.flatten(1)).abs().mean())


def agreement(first: Tensor, second: Tensor) -> float:
    """Share of two heat maps that overlaps."""
    return float(torch.minimum(first, second).sum() / torch.maximum(first, second).sum().clamp_min(1e-9))


def hierarchy(lesson: Lesson, kind: str, net: nn.Module, shape: tuple[int, int, int], classes: int, steps: int) -> None:
    """Edges, parts, objects: what excites units of the first, a middle and the last layer."""
    layers = list(convolutions(net))
    rows = {}
    for number, layer in enumerate(layers, start=1):
        rows[f"layer {number}"] = maximise_units(net, shape, range(8), layer=layer, steps=steps)
    rows["classes"] = maximise_units(net, shape, range(min(8, classes)), steps=2 * steps)
    lesson.picture(f"hierarchy-{kind}", picture_rows(rows))


def main() -> None:
    parser = lesson_options(__doc__, "37-what-it-learned")
    parser.add_argument("--data", default="signs", help="signs, faces, mnist, cifar10 ...")
    parser.add_argument("--net", default="smallcnn")
    parser.add_argument("--images", type=int, default=4000, help="to train on")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--eps", type=float, default=8 / 255, help="linf")
    parser.add_argument("--count", type=int, default=200, help="test pictures that are attacked")
    parser.add_argument("--steps", type=int, default=60, help="of the ascent to a unit's favourite picture")
    args = lesson_arguments(parser, data="faces", images=400, epochs=2, count=24, steps=8)
    data = splits(args.data, limit=args.images, drawn=args.images)
    test = some(data.test, args.count)
    config = replace(PLAIN, epochs=args.epochs, seed=args.seed)
    against = Adversarial(threat=ThreatModel(eps=args.eps), steps=3, warmup=0.3)
    ways = {"plain": config, "robust": replace(config, objective=against, epochs=args.epochs + args.epochs // 2)}
    with Lesson(args, f"{args.net}, {len(data.train):,} pictures of {args.data}, {against.threat}") as lesson:
        nets = {kind: trained(args.net, data, way, width=0.25) for kind, way in ways.items()}
        lesson.head(
            "network", "accuracy", "under attack", "gradient in line with the picture", "Grad-CAM left by the attack"
        )
        seen = {}
        for kind, net in nets.items():
            images, adversarial, labels = attacked(net, test, args.eps)
            (stands,), layer = robust(net, test, [args.eps]), list(convolutions(net))[-1]
            slopes = saliency(net, images, labels)
            before, after = (
                grad_cam(net, images, labels, layer),
                grad_cam(net, adversarial, net(adversarial).argmax(1), layer),
            )
            numbers = {"accuracy": clean(net, test), "robust": stands, "in_line": in_line(images, slopes)}
            numbers["cam_kept"] = agreement(before, after)
            lesson.row(
                kind,
                *map(percent, (numbers["accuracy"], stands)),
                f"{numbers['in_line']:.3f}",
                percent(numbers["cam_kept"]),
            )
            lesson.metrics({f"{kind}/{name}": value for name, value in numbers.items()})
            seen[f"{kind}: saliency"] = shown(slopes)[:8].mean(1, keepdim=True)
            seen[f"{kind}: Grad-CAM"] = before[:8]
            seen[f"{kind}: attacked"] = adversarial[:8]
            seen[f"{kind}: CAM then"] = after[:8]
            hierarchy(lesson, kind, net, data.train.spec.shape, data.train.spec.num_classes, args.steps)
        lesson.picture("where-it-looks", picture_rows({"picture": images[:8], **seen}))
        first = {kind: next(iter(convolutions(net).values())).weight.detach() for kind, net in nets.items()}
        lesson.picture("filters", picture_rows({kind: shown(each)[:12] for kind, each in first.items()}))
        maps = {"picture": images[:1]}
        for kind, net in nets.items():
            for number, each in enumerate(feature_maps(net, images[:1], list(convolutions(net))).values(), start=1):
                positive = each[0, :12, None].clamp_min(0)
                maps[f"{kind}, layer {number}"] = positive / positive.amax().clamp_min(1e-9)
        lesson.picture("maps", picture_rows(maps))
        lesson.say("\nHow much of the picture one value of each layer sees\n")
        lesson.head("layer", "maps", "receptive field")
        for layer in (each for each in describe(nets["plain"]).layers if each.window):
            lesson.row(f"{layer.kind} {layer.name}", "x".join(map(str, layer.output)), "x".join(map(str, layer.field)))


if __name__ == "__main__":
    main()
