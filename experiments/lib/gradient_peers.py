"""PGD and FGSM as a textbook and three other libraries have them, with the same start, steps and step size."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lib.peers import Task, art_estimator, missing
from lib.textbook import REACH, textbook_pgd

Way = Callable[[Task, int, int], Tensor]
"""Task, steps and batch size in, adversarial images out; 0 steps stand for FGSM, which starts at the image."""


def by_batch(task: Task, size: int, attack: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    pairs = zip(task.images.split(size), task.labels.split(size), strict=True)
    return torch.cat([attack(images, labels).detach() for images, labels in pairs])


def textbook(task: Task, steps: int, size: int) -> Tensor:
    return by_batch(task, size, lambda *batch: textbook_pgd(task.model, *batch, eps=task.threat.eps, steps=steps))


def foolbox(task: Task, steps: int, size: int) -> Tensor:
    import foolbox as fb

    model = fb.PyTorchModel(task.model, bounds=(0, 1), device=task.images.device)
    attack = fb.attacks.LinfPGD(rel_stepsize=REACH / steps, steps=steps) if steps else fb.attacks.FGSM()
    return by_batch(task, size, lambda *batch: attack(model, *batch, epsilons=task.threat.eps)[1])


def torchattacks(task: Task, steps: int, size: int) -> Tensor:
    import torchattacks as ta

    eps = task.threat.eps
    attack = ta.PGD(task.model, eps=eps, alpha=REACH * eps / steps, steps=steps) if steps else ta.FGSM(task.model, eps)
    return by_batch(task, size, attack)


def art(task: Task, steps: int, size: int) -> Tensor:
    from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent

    estimator = art_estimator(task)
    eps, options = task.threat.eps, {"eps": task.threat.eps, "batch_size": size}
    attack = FastGradientMethod(estimator, **options)
    if steps:
        options |= {"eps_step": REACH * eps / steps, "max_iter": steps, "num_random_init": 1, "verbose": False}
        attack = ProjectedGradientDescent(estimator, **options)
    return torch.from_numpy(attack.generate(task.images.numpy(), task.labels.numpy()))


WAYS: dict[str, Way] = {"textbook": textbook, "foolbox": foolbox, "torchattacks": torchattacks, "ART": art}


def present() -> list[str]:
    """Those of the ways whose library is installed."""
    absent = {"art": "ART"} | {name: name for name in WAYS}
    return [name for name in WAYS if name not in {absent.get(each) for each in missing()}]
