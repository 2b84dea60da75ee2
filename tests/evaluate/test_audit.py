"""The audited figure against populations of which everything is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from robustcnn.core.audited import Audited
from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.evaluate.audit import AuditConfig, audited

TOTAL, STOOD = 800, 500


def weak(count: int) -> Callable[[int, Tensor], int]:
    """An attack that breaks the rows that are multiples of STOOD // count."""
    return lambda _, rows: int((rows % (STOOD // count) == 0).sum())


def audit(seed: int, *, fall: int = 20, stood: int = STOOD, **config: float) -> Audited:
    return audited(torch.arange(stood), TOTAL, AuditConfig(**config), seed=seed, attack=weak(fall))  # type: ignore[arg-type]


def test_the_estimate_is_unbiased_and_the_interval_covers_in_200_resampled_audits() -> None:
    truth = (STOOD - 20) / TOTAL
    found = [audit(seed, count=100) for seed in range(200)]
    assert sum(each.value for each in found) / 200 == pytest.approx(truth, abs=0.002)
    assert sum(each.low <= truth <= each.high for each in found) >= 190
    assert len({each.broken for each in found}) > 4


def test_what_is_proven_counts_as_standing_and_is_never_drawn() -> None:
    proven, truth = 300, (STOOD - 20) / TOTAL
    rows = torch.arange(STOOD - proven)
    found = [
        audited(rows, TOTAL, AuditConfig(count=100), seed=seed, attack=weak(50), proven=proven) for seed in range(200)
    ]
    assert sum(each.value for each in found) / 200 == pytest.approx(truth, abs=0.002)
    assert sum(each.low <= truth <= each.high for each in found) >= 190
    # As many drawn from fewer: closer than without the proof.
    assert found[0].high - found[0].low < 0.8 * (audit(0, count=100).high - audit(0, count=100).low)
    assert str(found[0]).endswith("of 100 unproven that stood)")


def test_where_all_that_stands_is_proven_the_figure_is_exact_without_an_audit() -> None:
    found = audited(torch.arange(0), TOTAL, AuditConfig(count=100), seed=0, attack=weak(50), proven=STOOD)
    assert (found.drawn, found.low, found.value, found.high) == (0, *3 * (STOOD / TOTAL,))


def test_stopping_when_it_is_narrow_keeps_the_level() -> None:
    truth = (STOOD - 20) / TOTAL
    found = [audit(seed, until=4.0) for seed in range(200)]
    assert sum(each.low <= truth <= each.high for each in found) >= 190
    assert all(100 * (each.high - each.low) < 4 for each in found)
    drawn = [each.drawn for each in found]
    assert 50 < min(drawn) < max(drawn) < STOOD


def test_an_audit_of_more_than_stand_is_a_census() -> None:
    found = audit(0, count=10_000)
    assert (found.drawn, found.broken) == (STOOD, 20)
    assert found.low == found.value == found.high == (STOOD - 20) / TOTAL
    # For examples yet to come there still is the chance of the choice.
    assert found.new_low < found.value - 0.02
    assert found.new_high > found.value + 0.02


@pytest.mark.parametrize("config", [{"count": 100}, {"until": 0.5}])
def test_where_none_stand_nothing_is_audited(config: dict[str, float]) -> None:
    found = audit(0, stood=0, **config)
    assert (found.drawn, found.value, found.low, found.high) == (0, 0, 0, 0)
    assert found.new_low == 0 < found.new_high < 0.01


def test_it_is_said_as_it_is_read() -> None:
    found = Audited(
        count=1000, stood=533, drawn=500, broken=2, value=0.531, low=0.523, high=0.537, new_low=0.49, new_high=0.57
    )
    assert str(found) == "53.1 % [52.3, 53.7] (audited: AutoAttack broke 2 of 500 that stood)"
    assert found.share == 0.004
    assert from_plain(Audited, to_plain(found)) == found


def test_more_is_audited_in_the_same_order() -> None:
    seen: list[list[int]] = []

    def attack(_: int, rows: Tensor) -> int:
        seen.append(rows.tolist())
        return 0

    audited(torch.arange(STOOD), TOTAL, AuditConfig(count=100), seed=3, attack=attack)
    first = seen.copy()
    audited(torch.arange(STOOD), TOTAL, AuditConfig(count=200), seed=3, attack=attack)
    assert seen[2:4] == first
    assert len({row for batch in seen[2:] for row in batch}) == 200


def test_senseless_audits_are_refused() -> None:
    with pytest.raises(ValueError, match="audit must be at least 1 example, got 0"):
        AuditConfig(count=0)
    with pytest.raises(ValueError, match="until must be a width above 0, in points, got -1"):
        AuditConfig(until=-1)
    assert not AuditConfig()
