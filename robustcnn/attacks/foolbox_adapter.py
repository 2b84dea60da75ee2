"""Any attack of foolbox by its name: breadth that we do not write ourselves, and the only importer of foolbox."""

from __future__ import annotations

import difflib
import inspect
import math
import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Guarded, is_fooled
from robustcnn.attacks.black_box import Pool, QueryCounter
from robustcnn.attacks.targets import Target, choose_targets
from robustcnn.core.runtime import global_seed
from robustcnn.core.threat import ThreatModel

NEED_A_START = ("Boundary", "HopSkipJump", "BinarizationRefinement", "Pointwise", "BrendelBethge")
POOL = 64
"""Noise images among which a starting point is looked for."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Foolbox(Guarded):
    """The foolbox attack of this class name, run as foolbox runs it, seeded from our generator.

    Attacks that start from an adversarial image get one here; examples for which none is found stay as they are.
    """

    name: str
    """Class name, such as LinfPGD or L2BrendelBethgeAttack."""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Arguments of that class, such as steps."""
    target: Target = "none"
    """none, or a wrong class to aim at: second (likeliest), least (likely), random, or the index of a class."""

    def __post_init__(self) -> None:
        self._attack()

    def __repr__(self) -> str:
        values = {"name": self.name, "options": dict(self.options), "target": self.target}
        usual = {"options": {}, "target": "none"}
        return f"Foolbox({', '.join(f'{key}={value!r}' for key, value in values.items() if value != usual.get(key))})"

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        import foolbox

        attack = self._attack()
        _adopt_norm(attack, self.name, threat)
        # Without a device foolbox moves the model to the GPU it prefers.
        victim = foolbox.PyTorchModel(model, bounds=threat.bounds, device=images.device)
        targets = choose_targets(self.target, model(images), labels, generator=generator)
        rows, extra = torch.arange(len(images), device=images.device), {}
        if any(kind in type(attack).__name__ for kind in NEED_A_START):
            rows, starts = _starting_points(model, images, labels, targets, threat, generator)
            extra = {"starting_points": starts}
        if not len(rows):
            return images
        if hasattr(attack, "feed"):
            attack.feed(victim, images)
        goal = labels[rows] if targets is None else foolbox.criteria.TargetedMisclassification(targets[rows])
        eps = None if math.isinf(threat.one_eps) else threat.one_eps
        with _seeded_everywhere(generator), torch.enable_grad():
            _, adversarial, _ = self._guarded(attack, victim, images[rows].clone(), goal, epsilons=eps, **extra)
        return images.index_copy(0, rows, adversarial.detach())

    def _attack(self) -> Any:
        """A fresh foolbox attack with our options."""
        kind = known_attacks().get(self.name)
        if kind is None:
            near = difflib.get_close_matches(self.name, known_attacks(), n=5, cutoff=0.4)
            raise ValueError(
                f"foolbox has no attack {self.name!r}; did you mean {', '.join(near) or 'one of ' + _all_names()}?"
            )
        try:
            return kind(**self.options)
        except ImportError as error:
            raise ValueError(f"foolbox's {self.name} needs {error.name} (pip install {error.name})") from error
        except TypeError as error:
            raise ValueError(f"options of foolbox's {self.name} are {inspect.signature(kind)}, got {error}") from error

    def _guarded(self, attack: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return attack(*arguments, **options)
        except NotImplementedError as error:
            cure = "give the threat a finite eps" if options["epsilons"] is None else "choose another attack"
            raise ValueError(f"foolbox's {self.name} refuses: {error} ({cure})") from error
        except RuntimeError as error:
            if "does not require grad" not in str(error):
                raise
            raise ValueError(f"foolbox's {self.name} needs a gradient and the model has none (use Square)") from error
        except ValueError as error:
            if "criterion" not in str(error):
                raise
            other = "second" if self.target == "none" else "none"
            raise ValueError(f"foolbox's {self.name} refuses target {self.target!r} (use target={other!r})") from error


def known_attacks() -> dict[str, type]:
    """foolbox's attack classes and their short names."""
    import foolbox

    found = vars(foolbox.attacks).items()
    root = foolbox.attacks.Attack
    return {name: kind for name, kind in found if inspect.isclass(kind) and issubclass(kind, root) and kind is not root}


def _all_names() -> str:
    return ", ".join(sorted(known_attacks()))


def _adopt_norm(attack: Any, name: str, threat: ThreatModel) -> None:
    """Give the threat's norm to attacks that know none, and refuse those of another norm."""
    import foolbox

    if isinstance(attack, foolbox.attacks.base.FlexibleDistanceMinimizationAttack) and not getattr(
        attack, "_distance", None
    ):
        attack._distance = foolbox.distances.LpDistance(threat.geometry.order)
    distance = getattr(attack, "distance", None)
    if distance is None:
        raise ValueError(
            f"foolbox's {name} knows no norm, so that no eps holds it (use SpatialGrid or SpatialGradient)"
        )
    if distance.p != threat.geometry.order:
        raise ValueError(f"foolbox's {name} measures l{distance.p:g}, but the threat is {threat.norm}")


def _starting_points(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    targets: Tensor | None,
    threat: ThreatModel,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Which examples can be attacked, and from where: the nearest image of a pool that the model sees as we want it."""
    if isinstance(model, QueryCounter) and model.pool is not None:
        return _known_starts(model.pool, images, labels, targets)
    low, high = threat.bounds
    noise = torch.rand(POOL, *images.shape[1:], generator=generator, device=generator.device).to(images)
    flat = torch.linspace(low, high, 5).to(images).view(-1, *[1] * (images.ndim - 1)).expand(-1, *images.shape[1:])
    pool = torch.cat([images, low + (high - low) * noise, flat])
    predicted = model(pool).argmax(1)
    wanted = predicted != labels[:, None] if targets is None else predicted == targets[:, None]
    distance = torch.cdist(images.flatten(1), pool.flatten(1)).masked_fill(~wanted, math.inf)
    nearest = distance.min(1)
    already = is_fooled(model(images), labels) if targets is None else predicted[: len(images)] == targets
    missing = nearest.values.isinf()
    if missing.any():
        warnings.warn(
            f"no starting point for {int(missing.sum())} of {len(images)} examples: they stay as they are "
            "(attack a larger batch with more classes in it)",
            stacklevel=2,
        )
    rows = (~missing & ~already).nonzero().squeeze(1)
    return rows, pool[nearest.indices[rows]]


def _known_starts(pool: Pool, images: Tensor, labels: Tensor, targets: Tensor | None) -> tuple[Tensor, Tensor]:
    """The nearest images of a pool whose classes are known, so that nothing need be asked."""
    wanted = pool.predicted != labels[:, None] if targets is None else pool.predicted == targets[:, None]
    distance = torch.cdist(images.flatten(1), pool.images.flatten(1)).masked_fill(~wanted, math.inf)
    nearest = distance.min(1)
    rows = nearest.values.isfinite().nonzero().squeeze(1)
    return rows, pool.images[nearest.indices[rows]]


@contextmanager
def _seeded_everywhere(generator: torch.Generator) -> Iterator[None]:
    """foolbox draws from the global generators of torch, numpy and Python: seed them inside, restore them after."""
    seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with global_seed(seed):
            np.random.seed(seed)
            random.seed(seed)
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
