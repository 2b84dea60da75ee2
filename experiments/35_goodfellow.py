"""Does our table agree with Goodfellow et al. 2015, and what does PGD leave of their network trained with FGSM?

MNIST, eps .25 of the range from 0 to 1. A shallow softmax, a maxout network, and the same trained half on FGSM's
pictures; error and mean confidence on mistakes, and transfer between the two maxout networks.

    python experiments/35_goodfellow.py                  about five minutes
"""

from __future__ import annotations

from dataclasses import replace

from lib.classroom import PLAIN, accuracy, logits, some, splits, trained
from lib.lesson import Lesson, lesson_arguments, lesson_options, percent
from torch import Tensor, nn

from robustcnn import FGSM, PGD, OptimConfig, ThreatModel, craft
from robustcnn.report import picture_rows
from robustcnn.report.plots import bars
from robustcnn.train import Mixture

EPS = 0.25
WAY = FGSM(loss="ce")
PAPER = {
    "softmax": ("99.9 %", "79.3 %"),
    "maxout": ("89.4 %", "97.6 %"),
    "maxout, FGSM-trained": ("17.9 %", "81.4 %"),
    "made on the plain one, shown to the trained one": ("19.6 %", "-"),
    "made on the trained one, shown to the plain one": ("40.9 %", "-"),
}


def wrong(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Error, and mean confidence on the mistakes."""
    shares = logits(model, images).softmax(1)
    missed = shares.argmax(1) != labels
    return float(missed.double().mean()), float(shares.amax(1)[missed].mean()) if missed.any() else 0.0


def main() -> None:
    parser = lesson_options(__doc__, "35-goodfellow")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--images", type=int, help="to train on; all when not given")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--count", type=int, default=10_000, help="test images")
    args = lesson_arguments(parser, data="digits", images=800, epochs=3, count=100)
    data = splits(args.data, limit=args.images)
    test = some(data.test, args.count)
    images, labels = next(test.batches(len(test)))
    threat = ThreatModel(eps=EPS)
    plain = replace(
        PLAIN, epochs=args.epochs, optim=OptimConfig(name="adam", lr=1e-3, schedule="cosine"), seed=args.seed
    )
    against = replace(plain, objective=Mixture(threat=threat, alpha=0.5))
    with Lesson(
        args, f"{len(data.train):,} images of {args.data}, {args.epochs} passes, {len(test):,} to test, {threat}"
    ) as lesson:
        nets = {
            "softmax": trained("logistic", data, plain),
            "maxout": trained("maxout", data, plain),
            "maxout, FGSM-trained": trained("maxout", data, against),
        }
        lesson.head("network", "clean error", "error under FGSM", "paper", "confidence when wrong", "paper")
        made, drawn = {}, {}
        for name, net in nets.items():
            made[name] = WAY(net, images, labels, threat)
            error, sure = wrong(net, made[name], labels)
            published = PAPER[name]
            lesson.row(
                name,
                percent(1 - accuracy(net, images, labels)),
                percent(error),
                published[0],
                percent(sure),
                published[1],
            )
            lesson.metrics({f"{name}/fgsm_error": error, f"{name}/confidence_wrong": sure})
            drawn[name] = {"ours": error, "the paper's": float(published[0].strip(" %")) / 100}
        _, old, new = nets
        transfer = {
            "made on the plain one, shown to the trained one": (old, new),
            "made on the trained one, shown to the plain one": (new, old),
        }
        for name, (source, target) in transfer.items():
            error, sure = wrong(nets[target], made[source], labels)
            lesson.row(name, "-", percent(error), PAPER[name][0], percent(sure), PAPER[name][1])
            lesson.metrics({f"transfer/{source} to {target}": error})
            drawn[name] = {"ours": error, "the paper's": float(PAPER[name][0].strip(" %")) / 100}
        lesson.say("\nThe same networks under more than one step, eps .25: error\n")
        lesson.head("network", "FGSM", "PGD-10", "PGD-40", "PGD-40 from the plain maxout")
        few = some(test, min(1000, args.count))
        pictures, truth = next(few.batches(len(few)))
        other = craft(PGD(steps=40), nets[old], pictures, truth, threat)
        for name, net in nets.items():
            tried = [craft(attack, net, pictures, truth, threat) for attack in (WAY, PGD(steps=10), PGD(steps=40))]
            errors = [1 - accuracy(net, each, truth) for each in (*tried, other)]
            lesson.row(name, *map(percent, errors))
            lesson.metrics({f"{name}/pgd_40_error": errors[2]})
        lesson.say("\nWhere PGD's error is far above FGSM's, a network has learnt to answer one step alone.")
        lesson.picture("errors", bars(drawn, along="error under FGSM, eps .25"))
        lesson.picture(
            "pictures", picture_rows({"clean": images[:10], **{name: each[:10] for name, each in made.items()}})
        )


if __name__ == "__main__":
    main()
