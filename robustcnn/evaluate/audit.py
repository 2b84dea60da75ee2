"""Two-phase sampling: cheap attacks on all examples, AutoAttack on a random part of what they leave.

The estimate, standing times the share of the audited that still stand, is unbiased for what AutoAttack would say of all
examples, because the part is drawn at random. The intervals are exact: those of `exact`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from robustcnn.attacks.base import Attack
from robustcnn.attacks.ensemble import AutoAttack
from robustcnn.core.audited import ALPHA, Audited
from robustcnn.core.runtime import seeded
from robustcnn.evaluate.exact import Counted, hits_in_all, share_between, watched_hits_in_all

Batch = tuple[int, Tensor]
"""Its number, and the rows in it."""
BATCH = 50
"""Examples after which the interval is looked at, and what was found is kept."""
OF_THE_DRAW = 0.2
"""Part of alpha that the interval for new examples leaves to the draw; the rest is for the choice of the examples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditConfig:
    """How much is audited."""

    count: int | None = None
    """Examples at most; None: as many as there are, or as `until` needs."""
    until: float | None = None
    """Stop when the interval is narrower than so many points; it is then one that may be watched."""

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError(f"audit must be at least 1 example, got {self.count}")
        if self.until is not None and not self.until > 0:
            raise ValueError(f"until must be a width above 0, in points, got {self.until:g}")

    def __bool__(self) -> bool:
        return self.count is not None or self.until is not None


def refuse_audit(attacks: Sequence[Attack], config: AuditConfig) -> None:
    """An audit says what AutoAttack would; where it is asked everything anyway, there is nothing to say."""
    if config and any(isinstance(each, AutoAttack) for each in attacks):
        raise ValueError(
            "audit and until are for cheap attacks, and AutoAttack is among these, on all examples (choose suite swift)"
        )


def audited(
    standing: Tensor,
    total: int,
    config: AuditConfig,
    *,
    seed: int,
    attack: Callable[[int, Tensor], int],
    proven: int = 0,
    ahead: Callable[[Sequence[Batch]], None] = lambda _: None,
    together: int = 1,
) -> Audited:
    """Audit a random part of the rows that stand; `attack` is given a batch's number and rows, and says how many fall.

    The order is fixed by the seed alone, so that an audit that was interrupted, or is asked for more, goes on in it.
    So many more stand because they are `proven`. `ahead` hears of the batches to come: of all, or of so many `together`
    where it may be over after any of them.
    """
    order = standing[torch.randperm(len(standing), generator=seeded(seed))]
    most = len(order) if config.count is None else min(config.count, len(order))
    batches = [(number, rows.sort().values) for number, rows in enumerate(order[:most].split(BATCH)) if len(rows)]
    told = max(len(batches), 1) if config.until is None else together
    drawn = broken = 0
    found = _figure(0, 0, len(order), proven, total, config.until)
    for number, rows in batches:
        if _narrow(found, config.until):
            break
        if number % told == 0:
            ahead(batches[number : number + told])
        broken += attack(number, rows)
        drawn += len(rows)
        found = _figure(broken, drawn, len(order), proven, total, config.until)
    return found


def _narrow(found: Audited, until: float | None) -> bool:
    return until is not None and 100 * (found.high - found.low) < until


def _figure(broken: int, drawn: int, unproven: int, proven: int, total: int, until: float | None) -> Audited:
    seen, interval = (
        Counted(hits=broken, drawn=drawn, total=unproven),
        hits_in_all if until is None else watched_hits_in_all,
    )
    fewest, most = interval(seen)
    stood = unproven + proven
    # Bonferroni: the draw misses with probability 0.01, the choice of the examples with 0.04.
    least_new, most_new = interval(seen, alpha=OF_THE_DRAW * ALPHA)
    low, high = share_between(stood - most_new, stood - least_new, total, alpha=(1 - OF_THE_DRAW) * ALPHA)
    return Audited(
        count=total,
        stood=stood,
        drawn=drawn,
        broken=broken,
        value=(proven + unproven * (1 - (broken / drawn if drawn else 0.0))) / total,
        low=(stood - most) / total,
        high=(stood - fewest) / total,
        new_low=low,
        new_high=high,
        proven=proven,
        until=until,
    )
