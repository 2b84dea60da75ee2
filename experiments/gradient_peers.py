"""PGD and FGSM as a textbook and three other libraries have them, with the same start, steps and step size."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from peers import Task, art_estimator
from torch import Tensor

REACH = 2.5
"""Length of all of PGD's steps together, in units of eps."""
Way = Callable[[Task, int, int], Tensor]
"""Task, steps and batch size in, adversarial images out; 0 steps stand for FGSM, which starts at the image."""


def by_batch(task: Task, size: int, attack: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    pairs = zip(task.images.split(size), task.labels.split(size), strict=True)
    return torch.cat([attack(images, labels).detach() for images, labels in pairs])


def textbook(task: Task, steps: int, size: int) -> Tensor:
    """As it stands in many a tutorial: backward() through the whole network."""
    eps, stride = task.threat.eps, REACH * task.threat.eps / steps if steps else task.threat.eps

    def attack(images: Tensor, labels: Tensor) -> Tensor:
        adversarial = images + (torch.empty_like(images).uniform_(-eps, eps) if steps else 0)
        adversarial = adversarial.clamp(0, 1)
        for _ in range(steps or 1):
            adversarial = adversarial.detach().requires_grad_()
            F.cross_entropy(task.model(adversarial), labels).backward()
            stepped = adversarial.detach() + stride * adversarial.grad.sign()
            adversarial = (images + (stepped - images).clamp(-eps, eps)).clamp(0, 1)
        task.model.zero_grad()
        return adversarial

    return by_batch(task, size, attack)


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
