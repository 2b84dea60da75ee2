"""Can a CNN hear? Tones, chords, sweeps and noise by their spectrogram, and what an attack on the wave itself does.

Baselines: the most frequent class, and logistic regression on the loudness of each frequency. FGSM and PGD move the
samples of the wave, between -1 and 1, by at most eps; the spectrogram is part of the network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from lib.lesson import Lesson, lesson_arguments, lesson_options, percent
from sklearn.linear_model import LogisticRegression

from robustcnn import FGSM, PGD, ThreatModel
from robustcnn.core.runtime import global_seed
from robustcnn.data.sets.sounds import SOUNDS, draw_sounds
from robustcnn.models.beyond import Spectrogram, audio_cnn
from robustcnn.report import picture_rows
from robustcnn.report.plots import lines
from robustcnn.train.tensors import Pairs, TensorFit, fit_tensors


def main() -> None:
    parser = lesson_options(__doc__, "38-sounds")
    parser.add_argument("--sounds", type=int, default=3000, help="to train on")
    parser.add_argument("--noise", type=float, default=1.0, help="under every sound, beside a loudness of 1")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--count", type=int, default=150, help="test sounds that are attacked")
    parser.add_argument("--eps", type=float, nargs="+", default=[0.001, 0.003, 0.01, 0.03])
    args = lesson_arguments(parser, sounds=400, epochs=3, count=60, eps=[0.003, 0.03])
    train, valid, test = (
        draw_sounds(count, noise=args.noise, seed=args.seed + number)
        for number, count in enumerate((args.sounds, args.sounds // 5, args.sounds // 5))
    )
    with Lesson(args, f"{args.sounds:,} sounds of half a second, {len(SOUNDS)} kinds") as lesson, torch.no_grad():
        with global_seed(args.seed):
            net = audio_cnn(len(SOUNDS))
        with torch.enable_grad():
            history = list(
                fit_tensors(
                    net, Pairs(*train), Pairs(*valid), F.cross_entropy, TensorFit(epochs=args.epochs, batch_size=32)
                )
            )
        net.eval()
        spectrum = Spectrogram()
        loud = LogisticRegression(max_iter=300).fit(spectrum(train.waves).mean((1, 3)), train.labels)
        heard = float((net(test.waves).argmax(1) == test.labels).double().mean())
        lesson.head("method", "test accuracy")
        lesson.row("most frequent kind", percent(float(test.labels.bincount().max()) / len(test.labels)))
        lesson.row("logistic on mean loudness", percent(loud.score(spectrum(test.waves).mean((1, 3)), test.labels)))
        lesson.row(f"CNN, {sum(epoch.seconds for epoch in history):.0f} s of training", percent(heard))
        few, truth = test.waves[: args.count], test.labels[: args.count]
        lesson.say()
        lesson.head("eps of the wave", "FGSM", "PGD-20", "noise of the same size")
        curves: dict[str, list[tuple[float, float]]] = {"FGSM": [(0.0, heard)], "PGD-20": [(0.0, heard)]}
        for eps in args.eps:
            threat = ThreatModel(eps=eps, bounds=(-1, 1))
            tried = {
                name: attack(net, few, truth, threat) for name, attack in (("FGSM", FGSM()), ("PGD-20", PGD(steps=20)))
            }
            tried["noise"] = few + eps * (2 * torch.rand_like(few) - 1).sign()
            shares = {name: float((net(each).argmax(1) == truth).double().mean()) for name, each in tried.items()}
            lesson.row(f"{eps:g}", *map(percent, shares.values()))
            lesson.metrics({f"pgd_{eps:g}": shares["PGD-20"], f"fgsm_{eps:g}": shares["FGSM"]})
            for name, points in curves.items():
                points.append((eps, shares[name]))
        lesson.metrics({"accuracy": heard})
        lesson.picture("attack", lines(curves, across="eps of the wave", up="accuracy", percent=True))
        shown = [int((test.labels == kind).nonzero()[0]) for kind in range(len(SOUNDS))]
        threat = ThreatModel(eps=args.eps[-1], bounds=(-1, 1))
        rows = {
            "as it is": test.waves[shown],
            f"PGD, {args.eps[-1]:g}": PGD(steps=20)(net, test.waves[shown], test.labels[shown], threat),
        }
        scaled = {name: ((spectrum(each).flip(2) + 2.5) / 4).clamp(0, 1) for name, each in rows.items()}
        lesson.picture("spectrograms", picture_rows(scaled, largest=400))


if __name__ == "__main__":
    main()
