"""Is the attack as strong as it can be: no other finds what it misses, and more of it brings nothing more?

Everything is counted on the same examples: what another attack breaks on top of the white box. Rivals that are weaker
by nature warn from their second example, and fail where it is proven (one-sided 95 %) that they break more than half a
point on top. What is as strong, or the same given more, measures how far the attack has converged: above one point it
warns, above three it fails. The list is that of Carlini et al. (2019), and what it took to break the defences since.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

import torch
from torch import nn

from robustcnn.attacks import Attack
from robustcnn.core.norms import fraction
from robustcnn.core.results import VERDICTS, Finding
from robustcnn.core.threat import ThreatModel
from robustcnn.evaluate.checks import rivals
from robustcnn.evaluate.checks.bench import FEW, TRIED, Bench, finding, some
from robustcnn.evaluate.checks.counts import OnTop
from robustcnn.evaluate.checks.stand_ins import Blurred, OnGrid, Softened, inner_networks
from robustcnn.fast.plain_view import PlainView, beneath

MASKED = (
    "the gradient does not show the way, and white-box figures are too good; report the worst case with black-box "
    "attacks (Square, AutoAttack) and attacks on a smooth copy, and look for steps, random numbers or saturation"
)
WEAK = (
    "the attack has not converged; take more steps, restarts and targets, or AutoAttack, before you believe the figure"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rival:
    """What the white box leave standing, another attack does not break either."""

    check: str
    who: str
    attack: Callable[[Bench], Attack]
    through: Callable[[Bench], dict[str, nn.Module]] | None = None
    """Models that the attack is made on instead, by name."""
    as_strong: bool = False
    """Whether it is no weaker by nature than the white box: then it tells how far that has converged."""
    most: int = TRIED
    cure: str = MASKED

    def __call__(self, bench: Bench) -> Finding:
        models = {"": bench.view} if self.through is None else self.through(bench)
        counts = {
            name: bench.on_top(self.check, self.attack(bench), through=model, most=self.most)
            for name, model in models.items()
        }
        none = OnTop(hits=0, count=len(bench.data))
        worst = max(counts, key=lambda name: counts[name].hits, default="")
        count = counts.get(worst, none)
        verdict = count.by_more_of_it if self.as_strong else count.by_a_weaker_one
        who = f"{self.who} ({worst})" if worst else self.who
        seen = f"{who} breaks {count.hits} of {len(bench.robust)} examples that {bench.name} left standing"
        if not models:
            seen = f"{self.who}: there is none"
        if self.as_strong and count.hits:
            seen += f"; unconverged by {count}"
        return finding(
            self.check,
            seen,
            figure=count.share,
            trouble=None if verdict == "pass" else verdict,
            cure=self.cure,
            tried=len(bench.robust) if models else 0,
        )


def _seen(model: nn.Module) -> PlainView:
    """To attack as it is, a moderate batch at a time."""
    return PlainView(model, chunk=128)


def _surrogate(bench: Bench) -> dict[str, nn.Module]:
    return {"": bench.surrogate}


def _dense(bench: Bench) -> dict[str, nn.Module]:
    """foolbox walks in linf and l2, round models that say the same twice."""
    return {} if bench.threat.norm == "l1" or bench.draws > 1 else {"": bench.view}


def _softened(bench: Bench) -> dict[str, nn.Module]:
    soft = Softened(beneath(bench.model))
    images = bench.data.images[:2].detach().requires_grad_()
    with torch.enable_grad():
        soft(images)
    return {f"with slopes in {', '.join(sorted(soft.changed))}": _seen(soft)} if soft.changed else {}


def _inner(bench: Bench) -> dict[str, nn.Module]:
    accuracy = len(bench.right) / len(bench.data)
    found = inner_networks(beneath(bench.model), bench.data, least=accuracy / 2)
    return {name: _seen(part) for name, part in found.items()}


def _blurred(bench: Bench) -> dict[str, nn.Module]:
    return {"": _seen(Blurred(bench.view, rivals.deviation(bench)))}


RIVALS = (
    Rival(check="stronger than one step", who="a single step", attack=rivals.one_step),
    Rival(check="stronger than noise", who="random noise of the same size", attack=rivals.blind),
    Rival(check="stronger than black box", who="a search without gradients", attack=rivals.search),
    Rival(
        check="stronger than labels alone",
        who="a walk along the boundary",
        attack=rivals.labels_alone,
        through=_dense,
        most=rivals.FEWER,
    ),
    Rival(
        check="stronger than estimates",
        who="an attack on estimated gradients",
        attack=rivals.estimated,
        most=2 * rivals.FEWER,
    ),
    Rival(
        check="stronger than transfer",
        who="an attack made on another model",
        attack=rivals.momentum,
        through=_surrogate,
    ),
    Rival(
        check="stronger than the inner network",
        who="an attack on a part that classifies by itself",
        attack=rivals.pushed,
        through=_inner,
    ),
    Rival(
        check="stronger than a smooth copy",
        who="an attack on a copy of the model",
        attack=rivals.pushed,
        through=_softened,
    ),
    Rival(
        check="stronger than averaged gradients",
        who="an attack on gradients averaged over noise",
        attack=rivals.averaged,
        through=_blurred,
        as_strong=True,
    ),
    Rival(
        check="stronger than foolbox", who="another author's attack", attack=rivals.foreign, as_strong=True, cure=WEAK
    ),
    Rival(
        check="enough steps",
        who="the plain attack with five times the steps",
        attack=rivals.longer,
        as_strong=True,
        cure=WEAK,
    ),
    Rival(
        check="enough restarts",
        who="the plain attack from 5 starts",
        attack=rivals.restarted,
        as_strong=True,
        cure=WEAK,
    ),
    Rival(
        check="enough aims",
        who="AutoPGD on two losses and nine targets",
        attack=rivals.adaptive,
        as_strong=True,
        cure=WEAK,
    ),
    Rival(
        check="long enough steps",
        who="an attack from another model's start with long steps",
        attack=rivals.long_steps,
        as_strong=True,
        cure=WEAK,
    ),
)


def hidden(bench: Bench) -> Finding:
    """All that any rival broke on top: by how much, at least, the white box's figure is too good."""
    count = OnTop(hits=len(bench.ledger.found), count=len(bench.data))
    verdict, alone = count.by_more_of_it, type(bench.white_box).__name__
    found = finding(
        "points too good",
        f"{bench.name} left {len(bench.robust)} of {len(bench.data)} standing, and all rivals together "
        f"{len(bench.robust) - count.hits}: the figure is {count} too good, at least ({alone} alone, one start: "
        f"{int(bench.plain[1].sum())})",
        figure=100 * count.share,
        trouble=None if verdict == "pass" else verdict,
        tried=len(bench.robust),
        cure="the other findings say which kind of attack found them; report the worst case with it",
    )
    return replace(found, profile=_profile(bench)) if count.hits else found


STRETCH = 21
"""Points at which the margin is looked at, up to half as far again as the rival's image."""


def _profile(bench: Bench) -> tuple[tuple[float, float, float], ...]:
    """The margin of one example that only a rival broke, on the way to the white box's image and to the rival's."""
    row, (_, found) = next(iter(bench.ledger.found.items()))
    one = bench.data.subset(torch.tensor([row]))
    ended = bench.attacked[bench.right == row]
    ways = torch.linspace(0, 1.5, STRETCH, device=one.images.device)
    margins = [
        bench.margins(torch.lerp(one.images, end, ways.view(-1, 1, 1, 1)).clamp(*bench.threat.bounds), one.labels)
        for end in (ended, found[None])
    ]
    return tuple(zip(ways.tolist(), *(each.tolist() for each in margins), strict=True))


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


def scale(bench: Bench) -> Finding:
    """Cross-entropy, the usual loss, finds what log-odds find."""
    rows = some(bench.right[~bench.plain[1]])
    by_odds, by_entropy = (bench.standing(replace(bench.white_box, loss=loss), rows).hits for loss in ("odds", "ce"))
    # Those that were looked at stand for the rest.
    share = max(by_entropy - by_odds, 0) / max(len(rows), 1)
    missed = OnTop(hits=round(share * int((~bench.plain[1]).sum())), count=len(bench.data))
    verdict = missed.by_more_of_it
    return finding(
        "scale of the logits",
        f"of {len(rows)} examples, {by_odds} stand when their log-odds are climbed, {by_entropy} with cross-entropy",
        figure=missed.share,
        trouble=None if verdict == "pass" else verdict,
        tried=len(rows),
        cure="cross-entropy is masked by the scale of the logits: its slope rounds away; use loss='odds'",
    )


def off_grid(bench: Bench) -> Finding:
    """Pictures of bytes fare no worse than pictures between the grey levels: nobody treats these apart."""
    count = bench.on_top("off-grid detector", rivals.Rounded(rivals.Replayed(bench)))
    more = bench.on_top("off-grid detector", rivals.Rounded(rivals.pushed(bench)), through=_seen(OnGrid(bench.model)))
    worst = max(count, more, key=lambda each: each.hits)
    verdict = max(count.by_a_weaker_one, more.by_more_of_it, key=VERDICTS.index)
    return finding(
        "off-grid detector",
        f"rounded to 8 bits, {worst.hits} of {len(bench.robust)} examples fall that {bench.name} left standing",
        figure=worst.share,
        trouble=None if verdict == "pass" else verdict,
        tried=len(bench.robust),
        cure="the model treats pictures between the 256 grey levels apart, where attacks search; attack it by way of "
        "rounded pictures",
    )
