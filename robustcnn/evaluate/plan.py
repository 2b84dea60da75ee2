"""What is to be judged, and what can be refused before the work begins."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from robustcnn import __version__
from robustcnn.attacks.base import Attack
from robustcnn.attacks.universal import Universal
from robustcnn.certify.margins import Method
from robustcnn.core.plain_data import did_you_mean, shown
from robustcnn.core.runtime import Precision, derived_seed
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate.judging import named

Certify = Literal[Method, "smoothing"]
CERTIFY: tuple[Certify, ...] = get_args(Certify)
"""How lower bounds may be found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Attacks and threats, and the numbers that their answers depend on."""

    attacks: tuple[Attack, ...]
    threats: tuple[ThreatModel, ...]
    precision: Precision
    block: int
    seed: int
    certify: Certify | None = None
    """How lower bounds are found; None asks for none."""

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, got {self.precision!r}")
        if self.certify not in (None, *CERTIFY):
            raise ValueError(f"unknown method to certify {self.certify!r}{did_you_mean(str(self.certify), CERTIFY)}")
        if self.block < 1:
            raise ValueError(f"block must be at least 1 image, got {self.block}")
        for attack in self.attacks:
            if isinstance(attack, type) or not callable(attack):
                got = f"the class {attack.__name__}" if isinstance(attack, type) else shown(attack)
                raise ValueError(f"attacks must be attacks such as PGD(steps=20), got {got}")
        _distinct("attacks", map(repr, self.attacks))
        _distinct("threats", map(str, self.threats))
        for attack in self.attacks:
            if not getattr(attack, "in_ball", True):
                raise ValueError(f"attacks must stay in the threat's ball, {attack!r} does not (judge it by itself)")
            if isinstance(attack, Universal):
                raise ValueError(
                    f"{attack!r} makes one perturbation for the images at hand, which the judge shows it part by part: "
                    "fit it on other images first (Universal().fitted(model, images, labels, threats))"
                )
            if " at 0x" in repr(attack):
                raise ValueError(
                    f"attacks are known by their repr, and that of {attack!r} changes with every process "
                    "(make it a frozen dataclass, or give it a __repr__)"
                )
        for threat in self.threats:
            if threat.bounds != (0, 1):
                raise ValueError(f"bounds must be (0, 1), as data sets hold their pixels, got {threat.bounds}")

    @property
    def balls(self) -> tuple[tuple[ThreatModel, ...], ...]:
        """The threats of each norm, eps growing; norms in the order in which they were named."""
        norms = dict.fromkeys(threat.norm for threat in self.threats)
        ordered = sorted(self.threats, key=lambda threat: threat.eps)
        return tuple(tuple(threat for threat in ordered if threat.norm == norm) for norm in norms)

    def seed_of(self, attack: Attack, threat: ThreatModel, block: int) -> int:
        """One for each piece of work, whatever was done before it."""
        return derived_seed(self.seed, repr(attack), threat.norm, threat.eps, block)

    def page(self, model: nn.Module, data: ResidentDataset, answers: Tensor) -> dict[str, Any]:
        """All that the outcome depends on, as plain data; `answers` are the classes that the model gives `data`."""
        return {
            "data": data.fingerprint,
            "model": fingerprint(model, answers),
            "attacks": [repr(attack) for attack in self.attacks],
            "threats": [[threat.norm, threat.eps] for balls in self.balls for threat in balls],
            "precision": self.precision,
            "block": self.block,
            "seed": self.seed,
            "certify": self.certify,
            "robustcnn": __version__,
        }


def _distinct(what: str, names: Iterator[str]) -> None:
    counts = Counter(names)
    if not counts:
        raise ValueError(f"{what} must hold at least one, got none")
    for name, count in counts.items():
        if count > 1:
            raise ValueError(f"{what} must differ, got {name} {count} times")


def fingerprint(model: nn.Module, answers: Tensor | None = None) -> str:
    """Of the weights, and of what it answers: a model may hide more than its weights say."""
    digest = hashlib.sha256(b"" if answers is None else repr(answers.tolist()).encode())
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, Tensor):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def refuse_early(plan: Plan, model: nn.Module, data: ResidentDataset) -> None:
    """Let every attack begin on one image, so that one that does not suit a norm or the model says so at once."""
    images, labels = as_pixels(data.images[:1]), data.labels[:1]
    for *_, threat in plan.balls:
        for attack in plan.attacks:
            with named(attack, threat), warnings.catch_warnings():
                # They come again with the work itself.
                warnings.simplefilter("ignore")
                for member in _members(attack, data.spec.num_classes, threat):
                    _begin(member, model, images, labels, threat)


def _begin(attack: Attack, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel) -> None:
    try:
        attack(_Glimpses(model), images, labels, threat)
    except _Enough:
        return


def _members(attack: Any, classes: int, threat: ThreatModel) -> Iterator[Attack]:
    """The attacks that an ensemble would run, or a search would repeat: the later ones may refuse too."""
    inner = attack.members(classes, threat) if hasattr(attack, "members") else ()
    inner = (*inner, attack.attack) if hasattr(attack, "attack") else inner
    if not inner:
        yield attack
    for each in inner:
        yield from _members(each, classes, threat)


class _Enough(Exception):
    """The model has been asked often enough."""


class _Glimpses(nn.Module):
    """A model that answers a few times only."""

    def __init__(self, model: nn.Module, *, count: int = 5) -> None:
        super().__init__()
        self.model, self.left = model, count

    def forward(self, images: Tensor) -> Tensor:
        if not self.left:
            raise _Enough
        self.left -= 1
        answer: Tensor = self.model(images)
        return answer
