"""The works whose cost is claimed or grows: each a pair to compare, or a row of sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial

import torch
from torch import Tensor

from lib import gradient_peers
from lib.peers import Task
from lib.usual_loop import AUGMENT, BATCH, OPTIM, usual_loader
from robustcnn import FitConfig, ResidentDataset, build, craft, fit, load
from robustcnn.attacks import APGD, FAB, FGSM, FMN, PGD, Attack, AutoAttack, Square, Swift
from robustcnn.attacks.curve import breaking_eps
from robustcnn.core.runtime import Precision, global_seed, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data import DataConfig
from robustcnn.fast.plain_view import PlainView
from robustcnn.models import ModelConfig, PixelModel
from robustcnn.train import Adversarial, OptimConfig

Work = Callable[[], object]
THREAT = ThreatModel(eps=0.1)


@cache
def digits(size: int = 32, classes: int = 10) -> tuple[ResidentDataset, ResidentDataset]:
    """Training and test digits."""
    wanted = tuple(str(digit) for digit in range(classes)) if classes < 10 else ()
    splits = load(DataConfig(name="digits", size=size, classes=wanted))
    return splits.train, splits.test


@cache
def untrained(size: int = 32, classes: int = 10) -> PixelModel:
    train, _ = digits(size, classes)
    with global_seed(0):
        return build(ModelConfig(name="smallcnn", width=0.25), train.spec).eval()


@cache
def robust(epochs: int) -> PixelModel:
    """A small network trained against PGD: much of what it is shown stands, so that attacks have work to do."""
    train, test = digits()
    objective = Adversarial(threat=THREAT, steps=3, warmup=0.3)
    config = FitConfig(epochs=epochs, batch_size=64, objective=objective, watch=0, optim=OptimConfig(lr=0.05))
    with global_seed(0):
        model = build(ModelConfig(name="smallcnn", width=0.25), train.spec)
    list(fit(model, train, test.subset(32), config, progress=False))
    return model.eval()


def task(count: int, model: PixelModel, size: int = 32, classes: int = 10) -> Task:
    _, test = digits(size, classes)
    rows = torch.arange(count) % len(test)
    images = test.images[rows].float() / 255
    return Task(model=model, images=images, labels=test.labels[rows], threat=THREAT)


def attacked(attack: Attack, on: Task, precision: Precision = "fp32", *, plainly: bool = False) -> Tensor:
    model = PlainView(on.model, chunk=128) if plainly else on.model
    return craft(attack, model, on.images, on.labels, on.threat, precision=precision, generator=seeded(0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """What another way costs, as a multiple of ours."""

    name: str
    ours: Work
    other: Work


def ratios(count: int, epochs: int) -> list[Ratio]:
    """All on `count` digits, shown to a network that was trained for so many epochs."""
    on, pgd = task(count, robust(epochs)), PGD(steps=40)
    radii = [replace(THREAT, eps=THREAT.eps * part / 8) for part in range(1, 9)]
    foolbox, textbook = gradient_peers.foolbox, gradient_peers.textbook
    few = task(max(count // 4, 2), robust(epochs))
    eight = partial(breaking_eps, pgd, on.model, on.images, on.labels, radii, generator=seeded(0))
    return [
        Ratio(name="PGD-40: foolbox", ours=partial(attacked, pgd, on), other=partial(foolbox, on, 40, 128)),
        Ratio(name="PGD-40: textbook", ours=partial(attacked, pgd, on), other=partial(textbook, on, 40, 128)),
        Ratio(
            name="PGD-40 in bf16: foolbox", ours=partial(attacked, pgd, on, "bf16"), other=partial(foolbox, on, 40, 128)
        ),
        Ratio(name="FGSM: foolbox", ours=partial(attacked, FGSM(), on), other=partial(foolbox, on, 0, 128)),
        Ratio(
            name="Square, 500 queries: the whole image every time",
            ours=partial(attacked, Square(queries=500), on),
            other=partial(attacked, Square(queries=500), on, plainly=True),
        ),
        Ratio(
            name="AutoAttack, of Swift",
            ours=partial(attacked, Swift(), few),
            other=partial(attacked, AutoAttack(), few),
        ),
        Ratio(name="eight radii, of one", ours=partial(attacked, pgd, on), other=eight),
        Ratio(name="PGD-7 training: textbook", ours=partial(_trained, count), other=partial(_textbook, count)),
    ]


def _trained(count: int) -> None:
    train, _ = digits()
    objective = Adversarial(threat=THREAT, steps=7)
    config = FitConfig(epochs=1, batch_size=BATCH, optim=OPTIM, augment=AUGMENT, objective=objective, watch=0)
    model = build("bncnn", train.spec)
    list(fit(model, train.subset(count), train.subset(1), config, progress=False))


def _textbook(count: int) -> None:
    train, _ = digits()
    model = build("bncnn", train.spec)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for images, labels in usual_loader(train.subset(count)):
        model.eval()
        found = gradient_peers.textbook_pgd(model, images, labels, eps=THREAT.eps, steps=7)
        model.train()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(found), labels).backward()
        optimizer.step()


ATTACKS: tuple[Attack, ...] = (
    PGD(steps=20),
    APGD(steps=20),
    FMN(steps=20),
    FAB(steps=20, targets=1),
    Square(queries=20),
)


def growing(scale: int) -> dict[str, dict[int, Work]]:
    """How much of what, and the work on untrained networks: `scale` is the least number of examples."""
    pgd, usual = PGD(steps=20), untrained()
    on = task(scale, usual)

    def radii(count: int) -> Work:
        threats = [replace(THREAT, eps=THREAT.eps * part / count) for part in range(1, count + 1)]
        return partial(breaking_eps, pgd, on.model, on.images, on.labels, threats, generator=seeded(0))

    def several(count: int) -> Work:
        return lambda: [attacked(attack, on) for attack in ATTACKS[:count]]

    def classes(count: int) -> Work:
        some = task(scale, untrained(classes=count), classes=count)
        return partial(attacked, APGD(steps=10, loss="margin", targets=count - 1), some)

    def side(size: int) -> Work:
        return partial(attacked, pgd, task(scale, untrained(size), size))

    return {
        "examples": {
            count: partial(attacked, pgd, task(count, usual)) for count in (scale, 2 * scale, 4 * scale, 8 * scale)
        },
        "radii": {count: radii(count) for count in (1, 2, 4, 8, 16)},
        "steps": {count: partial(attacked, PGD(steps=count), on) for count in (5, 10, 20, 40)},
        "attacks": {count: several(count) for count in range(1, len(ATTACKS) + 1)},
        "classes": {count: classes(count) for count in (3, 5, 10)},
        "pixels a side": {size: side(size) for size in (16, 24, 32, 48)},
    }
