"""Is the attack as strong as it can be: no other finds what it misses, and more of it brings nothing more?

One rule for all, on the same examples: what another attack breaks on top counts once it moves the accuracy by more
than the 95 % interval reaches that the accuracy has anyway. The list is that of Carlini et al. (2019).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

import torch
from torch import Tensor

from robustcnn.attacks import FGSM, MIFGSM, Attack, CornerNoise, Square
from robustcnn.attacks.base import is_fooled
from robustcnn.core.norms import fraction
from robustcnn.core.results import Finding, Share
from robustcnn.core.runtime import evaluating
from robustcnn.core.threat import ThreatModel
from robustcnn.evaluate.checks.bench import FEW, Bench, finding, some
from robustcnn.fast.view import exact_logits

QUERIES = 100
MASKED = (
    "the gradient does not show the way, and white-box figures are too good; report the worst case with black-box "
    "attacks (Square, AutoAttack), and look for steps, random numbers or saturation in the model"
)
WEAK = "the attack has not converged; take more steps and restarts, or AutoAttack, before you believe the figure"


@dataclass(frozen=True, kw_only=True, slots=True)
class NotOutdone:
    """What the white-box attack leaves standing, another attack does not break either."""

    check: str
    rival: str
    attack: Callable[[Bench], Attack]
    cure: str = MASKED
    transferred: bool = False
    """Whether the rival works on the surrogate."""

    def __call__(self, bench: Bench) -> Finding:
        rows = some(bench.robust)
        stood = bench.standing(self.attack(bench), rows, made_on=bench.surrogate if self.transferred else None)
        broken = Share.of(stood.count - stood.hits, stood.count)
        moved = _of_all(bench, bench.robust, broken)
        kind = type(bench.white_box).__name__
        return finding(
            self.check,
            f"{self.rival} breaks {broken.hits} of {broken.count} examples that {kind} leaves standing",
            figure=moved,
            trouble="fail" if moved > reach(len(bench.robust), len(bench.data)) else None,
            cure=self.cure,
        )


def _of_all(bench: Bench, rows: Tensor, share: Share) -> float:
    """A share of these rows as one of all examples."""
    return len(rows) / len(bench.data) * (share.value or 0.0)


def reach(hits: int, count: int) -> float:
    """How far the interval of a share reaches, on its longer side."""
    share = Share.of(hits, count)
    return max(hits / count - share.low, share.high - hits / count)


def _search(threat: ThreatModel) -> Attack:
    # Square has no windows for l1, where changing one pixel is a search of its own.
    return CornerNoise(draws=QUERIES) if threat.sparse else Square(queries=QUERIES)


RIVALS = (
    NotOutdone(
        check="stronger than one step",
        rival="FGSM",
        attack=lambda bench: FGSM(loss="odds", eot=bench.draws),
    ),
    NotOutdone(
        check="stronger than noise",
        rival="random noise of the same size",
        attack=lambda _: CornerNoise(draws=20),
    ),
    NotOutdone(
        check="stronger than black box",
        rival="a search without gradients",
        attack=lambda bench: _search(bench.threat),
    ),
    NotOutdone(
        check="stronger than transfer",
        rival="an attack made on another model",
        attack=lambda _: MIFGSM(loss="odds"),
        transferred=True,
    ),
    NotOutdone(
        check="enough steps",
        rival="the same attack with five times the steps",
        attack=lambda bench: replace(bench.white_box, steps=5 * bench.white_box.steps),
        cure=WEAK,
    ),
    NotOutdone(
        check="enough restarts",
        rival="the same attack with 3 restarts instead of 1",
        attack=lambda bench: replace(bench.white_box, restarts=3),
        cure=WEAK,
    ),
)


def unbounded(bench: Bench) -> Finding:
    """In a ball that holds every picture, everything breaks."""
    whole = _whole(bench)
    left = bench.standing(replace(bench.white_box, steps=2 * bench.white_box.steps), bench.right, threat=whole)
    return finding(
        "unbounded eps",
        f"within {whole}, which allows every picture, {left.hits} of {left.count} examples stand",
        figure=left.value,
        trouble="fail" if left.low > FEW else None,
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
    count, pairs = max(len(rows), 1), list(combinations(stood, 2))
    curve = ", ".join(f"{left} at {fraction(eps)}" for left, eps in zip(stood, radii, strict=True))
    return finding(
        "monotone curve",
        f"of {len(rows)} examples, attacked afresh at every eps, stand {curve}",
        figure=max([0, *(after - before for before, after in pairs)]) / count,
        trouble="fail" if any((after - before) / count > reach(after, count) for before, after in pairs) else None,
        cure=f"a larger ball holds the smaller ones; {WEAK}",
    )


def scale(bench: Bench) -> Finding:
    """Cross-entropy, the usual loss, finds what log-odds find."""
    stood = bench.standing(replace(bench.white_box, loss="ce"), some(bench.broken))
    missed = _of_all(bench, bench.broken, stood)
    seeming = len(bench.robust) + round(missed * len(bench.data))
    return finding(
        "scale of the logits",
        f"of {stood.count} examples broken by way of their log-odds, {stood.hits} stand when cross-entropy is climbed",
        figure=missed,
        trouble="warn" if missed > reach(seeming, len(bench.data)) else None,
        cure="cross-entropy is masked by the scale of the logits: its slope rounds away; use loss='odds'",
    )


def survival(bench: Bench) -> Finding:
    """What the search takes for a success is one when the judge has projected it and asked the model in float32."""
    claimed = ~bench.stands
    if len(bench.right):
        with torch.no_grad(), evaluating(bench.view):
            claimed = is_fooled(exact_logits(bench.view, bench.attacked), bench.data.labels[bench.right])
    kept = Share.of(int((claimed & ~bench.stands).sum()), int(claimed.sum()))
    return finding(
        "successes survive the judge",
        f"{kept.hits} of {kept.count} successes of the search are confirmed",
        figure=kept.value,
        trouble="warn" if 1 - kept.high > FEW else None,
        cure="count only what is judged again by the model itself; if the search was in bf16, search in fp32",
    )
