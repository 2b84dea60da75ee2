"""Does the figure behave as the ball grows: to nothing where it holds every picture, and never upwards?"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import torch

from robustcnn.core.norms import fraction
from robustcnn.core.results import Finding
from robustcnn.core.threat import ThreatModel
from robustcnn.evaluate.checks.bench import FEW, MASKED, TRIED, WEAK, Bench, finding, some
from robustcnn.evaluate.checks.counts import OnTop


def unbounded(bench: Bench) -> Finding:
    """In a ball that holds every picture, everything breaks."""
    whole = _whole(bench)
    rows = some(bench.right, 2 * TRIED)
    left = bench.standing(replace(bench.white_box, steps=2 * bench.white_box.steps), rows, threat=whole)
    return finding(
        "unbounded eps",
        f"within {whole}, which allows every picture, {left.hits} of {left.count} examples stand",
        figure=left.value,
        trouble="fail" if left.low > FEW else None,
        tried=left.count,
        cure=MASKED,
    )


def _whole(bench: Bench) -> ThreatModel:
    low, high = (torch.full_like(bench.data.images[:1], bound) for bound in bench.threat.bounds)
    return replace(bench.threat, eps=bench.threat.distance(low, high).item())


def monotone(bench: Bench) -> Finding:
    """Accuracy does not rise with eps, even where every eps is attacked afresh."""
    rows, largest = some(bench.right), _whole(bench).eps
    radii = [factor * bench.threat.eps for factor in (0.25, 0.5, 1, 2, 4) if factor * bench.threat.eps <= largest]
    stood = [bench.standing(bench.white_box, rows, threat=replace(bench.threat, eps=eps)).hits for eps in radii]
    pairs = list(combinations(stood, 2))
    rise = OnTop(hits=max([0, *(after - before for before, after in pairs)]), count=max(len(rows), 1))
    curve = ", ".join(f"{left} at {fraction(eps)}" for left, eps in zip(stood, radii, strict=True))
    return finding(
        "monotone curve",
        f"of {len(rows)} examples, attacked afresh at every eps, stand {curve}",
        figure=rise.share,
        trouble="fail" if rise.proven > FEW else None,
        tried=len(rows),
        cure=f"a larger ball holds the smaller ones; {WEAK}",
    )
