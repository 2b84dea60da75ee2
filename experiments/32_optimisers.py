"""Which way down: full gradient descent, single examples, mini-batches, momentum, Nesterov or Adam?

Loss against examples seen and against seconds, one network, one start. Then learning rates from too low to too high
(what diverges is caught and explained), training that stops too early or too late, and how much steps of one batch
size differ among themselves.
"""

from __future__ import annotations

import time
from dataclasses import replace

from lib.classroom import splits
from lib.descent import history, spread, verdict
from lib.lesson import Lesson, lesson_arguments, lesson_options, percent

from robustcnn import FitConfig, OptimConfig
from robustcnn.data.registry import Splits
from robustcnn.report.plots import lines

SGD = OptimConfig(name="sgd", lr=0.03, momentum=0.0, schedule="constant")
WAYS = {
    "full gradient descent": FitConfig(batch_size="full", optim=replace(SGD, lr=0.1)),
    "one example a step": FitConfig(batch_size=1, optim=replace(SGD, lr=0.002)),
    "mini-batches of 64": FitConfig(batch_size=64, optim=SGD),
    "with momentum": FitConfig(batch_size=64, optim=replace(SGD, momentum=0.9, lr=0.02)),
    "Nesterov": FitConfig(batch_size=64, optim=replace(SGD, name="nesterov", momentum=0.9, lr=0.02)),
    "Adam": FitConfig(batch_size=64, optim=replace(SGD, name="adam", momentum=0.9, lr=2e-3)),
}
RATES = (1e-5, 1e-3, 0.02, 0.3, 50.0)


def main() -> None:
    parser = lesson_options(__doc__, "32-optimisers")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--net", default="smallcnn")
    parser.add_argument(
        "--images", type=int, default=5120, help="to train on; a last batch of few would step at random"
    )
    parser.add_argument("--epochs", type=int, default=8)
    args = lesson_arguments(parser, data="digits", net="logistic", images=400, epochs=3)
    data = splits(args.data, limit=args.images)
    base = {"epochs": args.epochs, "seed": args.seed, "watch": 0}
    with Lesson(args, f"{args.net}, {len(data.train):,} images of {args.data}, {args.epochs} passes") as lesson:
        lesson.head("way", "validation loss by pass", "accuracy", "CPU s")
        by_example, by_second = {}, {}
        for way, config in WAYS.items():
            start = time.process_time()
            found, _ = history(data, replace(config, **base), args.net)
            spent = time.process_time() - start
            lesson.row(
                way,
                ", ".join(f"{each.valid_loss:.3f}" for each in found),
                percent(found[-1].valid_accuracy),
                f"{spent:.1f}",
            )
            by_example[way] = [(float(each.epoch * len(data.train)), each.valid_loss) for each in found]
            by_second[way] = [(each.epoch * spent / len(found), each.valid_loss) for each in found]
            lesson.metrics({f"{way}/valid_loss": found[-1].valid_loss, f"{way}/seconds": spent})
        lesson.picture("by-example", lines(by_example, across="examples seen", up="validation loss", log="y"))
        lesson.picture("by-second", lines(by_second, across="CPU seconds", up="validation loss", log="xy"))
        lesson.say("\nLearning rate, mini-batches with momentum\n")
        lesson.head("learning rate", "training loss", "accuracy", "what happened")
        for rate in RATES:
            found, why = history(
                data, replace(WAYS["with momentum"], optim=replace(SGD, momentum=0.9, lr=rate), **base), args.net
            )
            last = (f"{found[-1].train_loss:.3f}", percent(found[-1].valid_accuracy)) if found else ("-", "-")
            lesson.row(f"{rate:g}", *last, why or verdict(found))
        lesson.say("\nStopped too early, at the best epoch, or too late: 300 images\n")
        lesson.head("passes", "training loss", "validation loss", "validation accuracy")
        few = Splits(data.train.subset(300), data.validation, data.test)
        found, _ = history(few, replace(WAYS["Adam"], **(base | {"epochs": 5 * args.epochs})), args.net)
        best = min(found, key=lambda each: each.valid_loss)
        for each in dict.fromkeys((found[0].epoch, best.epoch, found[-1].epoch)):
            epoch = found[each - 1]
            lesson.row(each, f"{epoch.train_loss:.3f}", f"{epoch.valid_loss:.3f}", percent(epoch.valid_accuracy))
        both = {
            name: [(float(each.epoch), getattr(each, name)) for each in found] for name in ("train_loss", "valid_loss")
        }
        lesson.picture("early-and-late", lines(both, across="passes", up="loss", log="y"))
        lesson.say("\nHow far a batch's gradient is from the whole one, as a share of its length\n")
        lesson.head("batch", "spread", "times the root of the batch")
        for size, share in spread(data, args.net, [1, 4, 16, 64, 256]).items():
            lesson.row(size, f"{share:.2f}", f"{share * size**0.5:.2f}")


if __name__ == "__main__":
    main()
