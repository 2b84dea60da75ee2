"""How much faster than the usual loops does adversarial training run?

Each way trains the same network on the same pictures with the same batch size, steps and step size, one thread, turn
and turn about; medians of CPU time are compared. The textbook's loop has a DataLoader, torchvision's transforms (crop
and mirror, as ours has) and backward() in the attack; ART's trainer augments nothing, and runs where it is installed.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from lib.bench import compare
from lib.opening import options, read, say_machine, table_head, table_row
from lib.peers import Task, art_estimator, missing
from lib.textbook import REACH, textbook_pgd
from lib.usual_loop import AUGMENT, BATCH, OPTIM, usual_loader
from torch import nn

from robustcnn import FitConfig, ResidentDataset, ThreatModel, build, fit, load
from robustcnn.core.runtime import global_seed
from robustcnn.train import Adversarial, Fast

EPS = 0.1
THREAT = ThreatModel(norm="linf", eps=EPS)
OBJECTIVES = {7: Adversarial(threat=THREAT, steps=7), 1: Fast(threat=THREAT)}
AIMS = {7: "1.9, 3.0 (ART 1.8)", 1: "1.5, 2.6"}


def textbook(steps: int, model: nn.Module, data: ResidentDataset) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    stride = (REACH / steps if steps > 1 else 1.25) * EPS
    for images, labels in usual_loader(data):
        model.eval()
        adversarial = textbook_pgd(model, images, labels, eps=EPS, steps=steps, stride=stride)
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(adversarial), labels).backward()
        optimizer.step()


def ours(steps: int, precision: str, model: nn.Module, data: ResidentDataset) -> None:
    settings = {"batch_size": BATCH, "optim": OPTIM, "augment": AUGMENT, "watch": 0}
    list(
        fit(
            model,
            data,
            data.subset(1),
            FitConfig(epochs=1, objective=OBJECTIVES[steps], **settings),
            precision=precision,
        )
    )


def art(model: nn.Module, data: ResidentDataset) -> None:
    from art.attacks.evasion import ProjectedGradientDescent
    from art.defences.trainer import AdversarialTrainer

    images, labels = data.images / 255, data.labels
    estimator = art_estimator(Task(model=model, images=images, labels=labels, threat=THREAT))
    estimator._optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    options = {"eps": EPS, "eps_step": REACH / 7 * EPS, "max_iter": 7, "num_random_init": 1, "batch_size": BATCH}
    attack = ProjectedGradientDescent(estimator, verbose=False, **options)
    AdversarialTrainer(estimator, attack, ratio=1.0).fit(images.numpy(), labels.numpy(), BATCH, nb_epochs=1)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--images", type=int, default=1_280, help="an epoch of which is timed")
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is timed")
    parser.add_argument("--data", default="fashion-mnist")
    args = read(parser, data="digits", images=128, rounds=1)
    data = load(args.data).train.subset(args.images)
    say_machine("bncnn", f"{len(data)} images of {args.data}", f"medians of {args.rounds}")
    table_head("steps", "way", "CPU s", "time / ours float32", "time / ours bf16", "aims")
    for steps in OBJECTIVES:
        ways = {name: partial(ours, steps, precision) for name, precision in (("ours", "fp32"), ("ours, bf16", "bf16"))}
        ways["textbook"] = partial(textbook, steps)
        if steps == 7 and "art" not in missing():
            ways["ART"] = art

        def run(way: str) -> None:
            with global_seed(0):
                ways[way](build("bncnn", data.spec), data)  # noqa: B023

        for way, spent in (times := compare({way: partial(run, way) for way in ways}, args.rounds)).items():
            ratios = f"{spent / times['ours']:.2f}", f"{spent / times['ours, bf16']:.2f}"
            table_row(steps, way, f"{spent:.2f}", *ratios, AIMS[steps] if way == "textbook" else "")


if __name__ == "__main__":
    main()
