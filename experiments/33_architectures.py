"""Which architecture for pictures of one size: what does each cost, what does it see, what does it reach, what stands?

From logistic regression to a ResNet, all on one data set for equally many passes. LeNet-5 is as published (partial
connections, scaled tanh, 84 units, outputs by distance to fixed codes); its paper has 99.05 % of MNIST after 20 passes.
Deep networks are narrowed so that a CPU can train them; AlexNet in full is described beside its table.

    python experiments/33_architectures.py --nets lenet5 --epochs 20        MNIST: about three minutes
"""

from __future__ import annotations

import time
from dataclasses import replace

from lib.classroom import PLAIN, clean, robust, some, splits, trained
from lib.lesson import Lesson, lesson_arguments, lesson_options, percent

from robustcnn import ImageSpec, OptimConfig, describe
from robustcnn.models import Description
from robustcnn.report.plots import bars

NETS: dict[str, dict[str, object]] = {
    "logistic": {},
    "mlp": {"hidden": (256, 256)},
    "lenet5": {"rbf_output": True},
    "smallcnn": {"width": 0.5},
    "alexnet": {"width": 0.25, "batch_norm": True},
    "vgg11": {"width": 0.25, "batch_norm": True},
    "googlenet": {"width": 0.25, "batch_norm": True},
    "resnet18": {"width": 0.25},
}
PAPERS = {"lenet5": "99.05 % of MNIST (1998)", "mlp": "95.3-97 % (1998, 300 units)", "logistic": "88-92 % (1998)"}
# The distances of the output's codes are large: smaller steps than for the others.
RATES = {"lenet5": 1e-3}
TABLE = {"parameters": "60 million", "first layer's map": "55x55 of 96", "last maps": "13x13 of 256"}
"""AlexNet's, from its paper."""


def sees(description: Description) -> int:
    """Input pixels a side on which the last value before the dense layers depends."""
    fields = [layer.field[0] for layer in description.layers if layer.window and layer.window.kernel != layer.input[1:]]
    return max(fields, default=0)


def main() -> None:
    parser = lesson_options(__doc__, "33-architectures")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--images", type=int, help="to train on; all when not given")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--eps", type=float, default=0.1, help="linf")
    parser.add_argument("--count", type=int, default=500, help="test images that are attacked")
    quick = {"nets": ["logistic", "lenet5", "smallcnn"], "images": 600, "epochs": 2, "count": 40}
    args = lesson_arguments(parser, data="digits", **quick)
    data = splits(args.data, limit=args.images)
    few = some(data.test, args.count)
    facts = (
        f"{len(data.train):,} images of {args.data}, {args.epochs} passes, PGD-20 at linf {args.eps:g} on {len(few)}"
    )
    drawn = {}
    with Lesson(args, facts) as lesson:
        lesson.head("network", "parameters", "multiply-adds", "field", "accuracy", "published", "under attack", "CPU s")
        for name in args.nets:
            config = replace(PLAIN, epochs=args.epochs, seed=args.seed)
            if name in RATES:
                config = replace(config, optim=OptimConfig(name="adam", lr=RATES[name], schedule="cosine"))
            start = time.process_time()
            model = trained(name, data, config, **NETS[name])
            spent = time.process_time() - start
            about, right, (stands,) = describe(model), clean(model, data.test), robust(model, few, [args.eps])
            size = (f"{about.parameters:,}", f"{about.multiply_adds:,}", sees(about) or "all")
            lesson.row(name, *size, percent(right), PAPERS.get(name, "-"), percent(stands), f"{spent:.0f}")
            lesson.metrics(
                {f"{name}/accuracy": right, f"{name}/robust": stands, f"{name}/parameters": about.parameters}
            )
            drawn[name] = {"clean": right, "under attack": stands}
        lesson.picture("architectures", bars(drawn, along="accuracy"))
        pixel = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
        whole = describe(
            "alexnet", ImageSpec(channels=3, height=227, width=227, classes=tuple(map(str, range(1000))), **pixel)
        )
        convolutions = [layer.output for layer in whole.layers if layer.kind == "Conv2d"]
        ours = [
            f"{whole.parameters / 1e6:.1f} million",
            *(f"{out[1]}x{out[2]} of {out[0]}" for out in (convolutions[0], convolutions[-1])),
        ]
        lesson.say("\nAlexNet in full, layer by layer: robustcnn describe --model.name alexnet --data.size 227\n")
        lesson.head("AlexNet", "ours", "its paper")
        for (what, published), mine in zip(TABLE.items(), ours, strict=True):
            lesson.row(what, mine, published)


if __name__ == "__main__":
    main()
