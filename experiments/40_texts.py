"""Can a CNN read characters, and how many must be exchanged until it reads something else?

Pieces of 64 characters: prose or code (scikit-learn's own files, none of which gives pieces to both training and test),
or any csv with the columns text,label. Baselines: the most frequent class, and logistic regression on how often each
character occurs. Attacks: PGD on the embedding, and exchanged characters (HotFlip).

    python experiments/40_texts.py --csv messages.csv
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from lib.lesson import Lesson, lesson_arguments, lesson_options, percent
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from robustcnn import FGSM, PGD, ThreatModel, seeded
from robustcnn.attacks.swaps import Swaps
from robustcnn.core.runtime import global_seed
from robustcnn.data.sets.texts import ALPHABET, Texts, prose_and_code, read_texts, written
from robustcnn.models.beyond import Embedded, TextCNN
from robustcnn.report.plots import lines
from robustcnn.train.tensors import Pairs, TensorFit, fit_tensors


def share(texts: Texts, rows: Tensor) -> Texts:
    return Texts(texts.characters[rows], texts.labels[rows], texts.classes)


def data(csv: Path | None, length: int, seed: int) -> tuple[Texts, Texts]:
    if csv is None:
        return prose_and_code(length=length)
    texts = read_texts(csv, length=length)
    order = torch.randperm(len(texts.labels), generator=seeded(seed))
    return share(texts, order[len(order) // 5 :]), share(texts, order[: len(order) // 5])


def counts(texts: Texts) -> Tensor:
    """How often each character occurs in each piece."""
    return F.one_hot(texts.characters, len(ALPHABET)).sum(1).float()


def main() -> None:
    parser = lesson_options(__doc__, "40-texts")
    parser.add_argument("--csv", type=Path, help="texts of your own, columns text,label")
    parser.add_argument("--pieces", type=int, default=12_000, help="to train on, at most")
    parser.add_argument("--length", type=int, default=64, help="characters of a piece")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--count", type=int, default=500, help="test pieces that are attacked")
    args = lesson_arguments(parser, pieces=2000, epochs=2, count=60)
    known, test = data(args.csv, args.length, args.seed)
    known = share(known, torch.randperm(len(known.labels), generator=seeded(args.seed))[: args.pieces])
    cut = len(known.labels) // 8
    valid, train = share(known, torch.arange(cut)), share(known, torch.arange(cut, len(known.labels)))
    with Lesson(args, f"{len(train.labels):,} pieces of {args.length} characters, {', '.join(test.classes)}") as lesson:
        with global_seed(args.seed):
            net = TextCNN(len(ALPHABET), len(test.classes))
        config = TensorFit(epochs=args.epochs, batch_size=64, seed=args.seed)
        history = list(fit_tensors(net, Pairs(*train[:2]), Pairs(*valid[:2]), F.cross_entropy, config))
        bag = LogisticRegression(max_iter=300).fit(counts(train), train.labels)
        with torch.no_grad():
            read = float((net.eval()(test.characters).argmax(1) == test.labels).double().mean())
        lesson.head("method", "test accuracy")
        lesson.row("most frequent class", percent(float(test.labels.bincount().max()) / len(test.labels)))
        lesson.row("logistic on counts of characters", percent(bag.score(counts(test), test.labels)))
        lesson.row(f"CNN, {sum(epoch.seconds for epoch in history):.0f} s of training", percent(read))
        lesson.metrics({"accuracy": read})
        few = share(test, torch.randperm(len(test.labels), generator=seeded(1))[: args.count])
        face, embedded = Embedded(net).eval(), net.embed(few.characters).detach()
        lesson.say("\nThe embedding, every number between -1 and 1, moved by at most eps\n")
        lesson.head("eps", "FGSM", "PGD-20")
        with torch.no_grad():
            for eps in (0.05, 0.1, 0.2):
                threat = ThreatModel(eps=eps, bounds=(-1, 1))
                tried = [attack(face, embedded, few.labels, threat) for attack in (FGSM(), PGD(steps=20))]
                lesson.row(
                    f"{eps:g}",
                    *(percent(float((face(each).argmax(1) == few.labels).double().mean())) for each in tried),
                )
        lesson.say("\nExchanged characters\n")
        lesson.head("exchanged", "still right", "an example")
        points = []
        for number in range(5):
            swapped = Swaps(swaps=number)(net, few.characters, few.labels, len(ALPHABET))
            with torch.no_grad():
                right = net(swapped).argmax(1) == few.labels
            stands = float(right.double().mean())
            example = (~right & (net(few.characters).argmax(1) == few.labels)).nonzero().flatten()[:1]
            text = f"`{written(swapped[example[0]])}`".replace("|", "/").replace("\n", " ") if len(example) else "-"
            lesson.row(number, percent(stands), text)
            lesson.metrics({"still_right": stands}, step=number)
            points.append((float(number), stands))
        lesson.picture("exchanged", lines({"CNN": points}, across="exchanged characters", up="right", percent=True))


if __name__ == "__main__":
    main()
