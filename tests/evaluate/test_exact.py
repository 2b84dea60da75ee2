"""Intervals that hold: by enumeration, by simulation, and against those that do not when they are watched."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import hypergeom

from robustcnn.core.results import Share
from robustcnn.evaluate.exact import (
    Counted,
    hits_in_all,
    mcnemar,
    share_between,
    watched_hits_in_all,
    watched_mcnemar,
    watched_share,
)

LEVEL = 0.95


@pytest.mark.parametrize(("total", "drawn"), [(30, 12), (60, 25), (41, 40)])
def test_the_interval_without_replacement_covers_every_truth(total: int, drawn: int) -> None:
    intervals = [hits_in_all(Counted(hits=seen, drawn=drawn, total=total)) for seen in range(drawn + 1)]
    for truth in range(total + 1):
        probability = hypergeom.pmf(np.arange(drawn + 1), total, truth, drawn)
        covered = sum(p for p, (low, high) in zip(probability, intervals, strict=True) if low <= truth <= high)
        assert covered >= LEVEL - 1e-9, truth


def test_its_ends_are_the_last_truths_that_are_not_rejected() -> None:
    low, high = hits_in_all(Counted(hits=2, drawn=50, total=400))
    for truth, inside in ((low, True), (low - 1, False)):
        assert bool(hypergeom.sf(1, 400, truth, 50) > 0.025) is inside
    for truth, inside in ((high, True), (high + 1, False)):
        assert bool(hypergeom.cdf(2, 400, truth, 50) > 0.025) is inside


@pytest.mark.parametrize("interval", [hits_in_all, watched_hits_in_all])
def test_who_has_drawn_all_knows_all(interval) -> None:  # type: ignore[no-untyped-def]
    assert interval(Counted(hits=7, drawn=90, total=90)) == (7, 7)
    assert interval(Counted(hits=0, drawn=0, total=5)) == (0, 5)
    assert interval(Counted(hits=0, drawn=0, total=0)) == (0, 0)


def test_a_watched_wilson_interval_misses_and_the_anytime_one_holds() -> None:
    total, truth, runs = 600, 18, 400
    generator = np.random.default_rng(0)
    looks = range(20, total, 20)
    missed = {"wilson": 0, "anytime": 0, "anytime share": 0}
    for _ in range(runs):
        population = np.zeros(total, dtype=int)
        population[:truth] = 1
        drawn = generator.permutation(population).cumsum()
        with_replacement = (generator.random(total) < truth / total).cumsum()
        wilson, anytime, share = False, False, False
        for count in looks:
            fixed = Share.of(int(with_replacement[count - 1]), count)
            wilson |= not fixed.low <= truth / total <= fixed.high
            low, high = watched_hits_in_all(Counted(hits=int(drawn[count - 1]), drawn=count, total=total))
            anytime |= not low <= truth <= high
            least, most = watched_share(Counted(hits=int(with_replacement[count - 1]), drawn=count))
            share |= not least <= truth / total <= most
        missed["wilson"] += wilson
        missed["anytime"] += anytime
        missed["anytime share"] += share
    # Each would be at most 5 % were the figure looked at once.
    assert missed["wilson"] > 0.12 * runs
    assert missed["anytime"] <= 0.05 * runs
    assert missed["anytime share"] <= 0.05 * runs


def test_watching_costs_width_and_drawing_all_saves_it() -> None:
    once = hits_in_all(Counted(hits=3, drawn=200, total=1000))
    watched = watched_hits_in_all(Counted(hits=3, drawn=200, total=1000))
    assert watched[0] <= once[0] <= once[1] <= watched[1] <= 2 * once[1]
    nearly = watched_hits_in_all(Counted(hits=15, drawn=990, total=1000))
    assert nearly[1] - nearly[0] < 10


def test_clopper_and_pearson_by_their_own_definition() -> None:
    low, high = share_between(3, 3, 40)
    tail = sum(math.comb(40, hits) * low**hits * (1 - low) ** (40 - hits) for hits in range(3, 41))
    head = sum(math.comb(40, hits) * high**hits * (1 - high) ** (40 - hits) for hits in range(4))
    assert tail == pytest.approx(0.025)
    assert head == pytest.approx(0.025)
    assert share_between(0, 40, 40) == (0.0, 1.0)


@pytest.mark.parametrize(("first", "second", "p"), [(8, 0, 2 / 2**8), (5, 5, 1.0), (0, 0, 1.0), (7, 1, 18 / 2**8)])
def test_mcnemar_by_hand(first: int, second: int, p: float) -> None:
    assert mcnemar(first, second) == pytest.approx(p)


def test_a_watched_comparison_of_equals_seldom_finds_a_winner_and_a_watched_mcnemar_often_does() -> None:
    generator, runs = np.random.default_rng(1), 400
    false, naive = 0, 0
    for _ in range(runs):
        differences = generator.choice([-1, 0, 1], p=[0.1, 0.8, 0.1], size=800).tolist()
        false += watched_mcnemar(differences)[1] is not None
        counts = np.array(differences)
        naive += any(
            mcnemar(int((counts[:n] == 1).sum()), int((counts[:n] == -1).sum())) <= 0.05 for n in range(50, 801, 50)
        )
    assert false <= 0.05 * runs
    assert naive > 0.08 * runs


def test_a_watched_comparison_is_settled_where_its_evidence_reaches_twenty_to_one() -> None:
    p, settled = watched_mcnemar([0, *[1] * 20])
    # After n wins in a row the mixture's odds are 2^n / (n + 1).
    assert settled == 1 + next(n for n in range(1, 20) if 2**n / (n + 1) >= 20)
    assert p == pytest.approx(21 / 2**20)
    assert watched_mcnemar([]) == (1.0, None)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"hits must lie in 0\.\.3 \(drawn\), got 4"):
        Counted(hits=4, drawn=3)
    with pytest.raises(ValueError, match=r"drawn must be at most 5 \(total\), got 6"):
        Counted(hits=0, drawn=6, total=5)
    with pytest.raises(ValueError, match="total must be a number of examples"):
        hits_in_all(Counted(hits=0, drawn=6))
