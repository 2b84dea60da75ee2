"""AutoPGD and AutoAttack as two other libraries have them, with the budgets made equal where their options allow it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robustcnn.core.threat import ThreatModel
from robustcnn.models import PixelModel

INSTALL = "pip install --no-deps torchattacks adversarial-robustness-toolbox multiprocess dill"
"""In an environment of their own: their pins do not go together with MLflow's."""


def missing() -> list[str]:
    """Which of the peers are not installed."""
    return [name for name in ("torchattacks", "art", "multiprocess") if importlib.util.find_spec(name) is None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """Pixels in [0, 1] and a model that normalises inside: no peer is told of any normalisation."""

    model: PixelModel
    images: Tensor
    labels: Tensor
    threat: ThreatModel


def torchattacks_apgd(task: Task, steps: int, seed: int) -> Tensor:
    import torchattacks

    attack = torchattacks.APGD(task.model, eps=task.threat.eps, steps=steps, seed=seed)
    return attack(task.images, task.labels)


def torchattacks_ensemble(task: Task, steps: int, seed: int) -> Tensor:
    """As shipped its gradient attacks take 10 steps; here as many as the published ensemble's, and its nine targets."""
    import torchattacks

    classes = min(task.model.spec.num_classes, 10)
    attack = torchattacks.AutoAttack(task.model, eps=task.threat.eps, version="standard", n_classes=classes, seed=seed)
    for member in attack._autoattack.attacks:
        if hasattr(member, "steps"):
            member.steps = steps
    return attack(task.images, task.labels)


def art_apgd(task: Task, steps: int, seed: int) -> Tensor:
    return _of_art(task, seed, lambda estimator: _art_gradient(estimator, task, steps, "cross_entropy", 1))


def art_ensemble(task: Task, steps: int, seed: int) -> Tensor:
    """It has neither a targeted DLR loss nor FAB: nine untargeted restarts and DeepFool stand in their place."""
    from art.attacks.evasion import AutoAttack, DeepFool, SquareAttack

    def ensemble(estimator: object) -> object:
        members = [
            _art_gradient(estimator, task, steps, "cross_entropy", 1),
            _art_gradient(estimator, task, steps, "difference_logits_ratio", 9),
            DeepFool(estimator, max_iter=steps, epsilon=1e-3, nb_grads=10, batch_size=1000, verbose=False),
            SquareAttack(estimator, eps=task.threat.eps, max_iter=50 * steps, batch_size=1000, verbose=False),
        ]
        return AutoAttack(estimator, eps=task.threat.eps, attacks=members, batch_size=1000)

    return _of_art(task, seed, ensemble)


def _art_gradient(estimator: object, task: Task, steps: int, loss: str, restarts: int) -> object:
    from art.attacks.evasion import AutoProjectedGradientDescent

    return AutoProjectedGradientDescent(
        estimator,
        eps=task.threat.eps,
        # AutoPGD's own first step; the default of 0.1 knows nothing of eps.
        eps_step=2 * task.threat.eps,
        max_iter=steps,
        nb_random_init=restarts,
        batch_size=1000,
        loss_type=loss,
        verbose=False,
    )


def art_estimator(task: Task) -> Any:
    """The model as ART wants to see it."""
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(
        task.model,
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=task.model.spec.shape,
        nb_classes=task.model.spec.num_classes,
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )


def _of_art(task: Task, seed: int, attack: Callable[[object], object]) -> Tensor:
    np.random.seed(seed)
    return torch.from_numpy(attack(art_estimator(task)).generate(task.images.numpy().copy(), task.labels.numpy()))
