"""Randomised smoothing in an evaluation: certificates of the majority over noise, and what becomes of broken ones."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from robustcnn.certify import NoLowerBound, smoothed
from robustcnn.certify.smoothing import ALPHA, DRAWS, Smoothed, least_share
from robustcnn.core.proof import Proof, Votes
from robustcnn.core.runtime import derived_seed, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.parts import Parts
from robustcnn.evaluate.standings import Evidence
from robustcnn.fast.plain_view import beneath, plain_view

KEPT = 100
"""Examples after which certificates are kept."""


def smoothed_model(model: nn.Module, threats: Sequence[ThreatModel]) -> Smoothed:
    """The model as one that smoothing can certify in these balls; another is refused in one line."""
    inner = beneath(model)
    if not isinstance(inner, Smoothed):
        raise NoLowerBound(
            f"smoothing certifies a Smoothed model, got {type(inner).__name__} (wrap it in "
            "robustcnn.defences.Smoothed(model, sigma=...), or ask for interval, crown or alpha-crown)"
        )
    if others := sorted({threat.norm for threat in threats} - {"l2"}):
        raise NoLowerBound(f"smoothing certifies l2 balls, got {', '.join(others)} (ask for l2 alone: --norm l2)")
    return inner


def votes_of(model: Smoothed) -> Votes:
    return Votes(sigma=model.sigma, draws=DRAWS, alpha=ALPHA, judged_draws=model.draws)


def certificates(model: Smoothed, data: ResidentDataset, seed: int, parts: Parts) -> tuple[Tensor, float]:
    """The l2 radius (N,) in which each example is certain to stay right, -inf where it is not right; and seconds.

    For all balls at once; what was drawn before is taken from the disk.
    """
    inner, reaches, seconds = plain_view(model.model), [], 0.0
    for block, rows in enumerate(torch.arange(len(data)).split(KEPT)):
        part, generator = data.subset(rows), seeded(derived_seed(seed, "smoothing", block), data.device)

        def drawn(part: ResidentDataset = part, generator: torch.Generator = generator) -> dict[str, Tensor]:
            start = time.perf_counter()
            found = smoothed(inner, part, sigma=model.sigma, generator=generator).reaches
            took = time.perf_counter() - start
            return {
                "reaches": torch.tensor(found, dtype=torch.float64),
                "seconds": torch.tensor(took, dtype=torch.float64),
            }

        # A model's page tells of its weights and answers, not of its sigma.
        made = parts.tensors(f"smoothing-{model.sigma!r}-{block}", drawn)
        reaches.append(made["reaches"])
        seconds += float(made["seconds"])
    return torch.cat(reaches), seconds


def lost(model: Smoothed, data: ResidentDataset, evidence: Evidence, rows: Tensor, seed: int) -> int:
    """Of certified examples that attacks broke in the sample: how many the majority itself surely gets wrong there."""
    if not len(rows):
        return 0
    images, labels = (part[rows].to(data.device) for part in (evidence.adversarial, evidence.labels))
    there = ResidentDataset(images=images, labels=labels, spec=data.spec)
    generator = seeded(derived_seed(seed, "votes", evidence.threat.norm, evidence.threat.eps), data.device)
    found = smoothed(plain_view(model.model), there, sigma=model.sigma, generator=generator)
    return sum(answer not in (None, label) for label, answer in zip(found.labels, found.answers, strict=True))


def explained(proof: Proof) -> bool:
    """Whether chance alone may bring so many lost certificates; votes are counted twice, and may err both times."""
    if proof.votes is None or not proof.proven.hits:
        return not proof.contradicted
    alpha = proof.votes.alpha
    return least_share(proof.contradicted, proof.proven.hits, alpha) <= 2 * alpha
