"""Is the attack as strong as it can be: no other finds what it misses, and more of it brings nothing more?

Everything is counted on the same examples: what another attack breaks on top of the white box. Rivals that are weaker
by nature warn from their second example, and fail where it is proven (one-sided 95 %) that they break more than half a
point on top. What is as strong, or the same given more, measures how far the attack has converged: above one point it
warns, above three it fails. The list is that of Carlini et al. (2019), and what it took to break the defences since.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from robustcnn.attacks import Attack
from robustcnn.core.results import VERDICTS, Finding
from robustcnn.evaluate.checks import rivals
from robustcnn.evaluate.checks.bench import MASKED, TRIED, WEAK, Bench, finding, some
from robustcnn.evaluate.checks.counts import OnTop, limit
from robustcnn.evaluate.checks.stand_ins import Blurred, OnGrid, Settled, Softened, inner_networks
from robustcnn.fast.plain_view import PlainView, beneath

LUCKY = (
    "an attack that draws anew at every step takes luck for progress; climb the margin of the mean of 20 draws whose "
    "random numbers stay the same, and judge what it finds by fresh ones"
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


LOOKS = 4
"""Times as many draws of a random model, all of them the same at every step, where one of its stand-ins is attacked."""


def _seen(model: nn.Module, draws: int = 1) -> PlainView:
    """To attack as it is, a moderate batch at a time; in the mean of several draws."""
    return PlainView(model if draws == 1 else Settled(model, draws), chunk=max(128 // draws, 8))


def _looks(bench: Bench) -> int:
    return 1 if bench.draws == 1 else LOOKS * bench.draws


def _settled(bench: Bench) -> dict[str, nn.Module]:
    return {} if bench.draws == 1 else {"": _seen(bench.view, _looks(bench))}


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
    return {f"with slopes in {', '.join(sorted(soft.changed))}": _seen(soft, _looks(bench))} if soft.changed else {}


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
        check="enough draws",
        who="an attack on the mean of many draws",
        attack=rivals.settled,
        through=_settled,
        as_strong=True,
        cure=LUCKY,
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


def scale(bench: Bench) -> Finding:
    """Cross-entropy, the usual loss, finds what log-odds find."""
    rows = some(bench.right[~bench.plain[1]])
    by_odds, by_entropy = (bench.left_by(replace(bench.white_box, loss=loss), rows) for loss in ("odds", "ce"))
    lost, won = int((by_entropy & ~by_odds).sum()), int((by_odds & ~by_entropy).sum())
    # Of two attacks on a model that draws numbers each is luckier than the other now and then.
    lost = max(lost - won, 0) if bench.draws == 1 or limit(lost, lost + won, 0.05) > 0.5 else 0
    # Those that were looked at stand for the rest.
    missed = OnTop(hits=round(lost / max(len(rows), 1) * int((~bench.plain[1]).sum())), count=len(bench.data))
    verdict = missed.by_more_of_it
    return finding(
        "scale of the logits",
        f"of {len(rows)} examples, {int(by_odds.sum())} stand when their log-odds are climbed, "
        f"{int(by_entropy.sum())} with cross-entropy",
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
