"""What a paired count says, and what many looks at a model that draws random numbers."""

from __future__ import annotations

import pytest
import torch

from robustcnn.evaluate.checks.counts import OnTop, surely_wrong


def test_counts_are_judged_as_the_rules_say() -> None:
    assert [OnTop(hits=hits, count=200).by_a_weaker_one for hits in (0, 1, 2, 3, 4)] == [
        "pass",
        "pass",
        "warn",
        "warn",
        "fail",
    ]
    assert [OnTop(hits=hits, count=200).by_more_of_it for hits in (2, 3, 6, 7)] == ["pass", "warn", "warn", "fail"]
    assert OnTop(hits=1, count=40).by_more_of_it == "pass"
    # Clopper & Pearson's own: 0 of 10 leaves 1 - 0.025 ** 0.1 possible.
    assert OnTop(hits=0, count=10).interval == (0.0, pytest.approx(1 - 0.025**0.1))
    assert OnTop(hits=10, count=10).proven == pytest.approx(0.05**0.1)


def test_the_mean_of_many_looks_is_surely_wrong_only_beyond_its_scatter() -> None:
    scatter = torch.tensor([1.0, -1.0]).repeat(20)
    # Standard error of the lead: 1 / sqrt(39), and times 1.645 it is 0.2634.
    leads = torch.tensor([0.25, 0.28, -5.0, torch.nan])
    looks = torch.stack([torch.zeros(40, 4), leads + scatter[:, None], torch.full((40, 4), -9.0)], 2)
    assert surely_wrong(looks, torch.zeros(4, dtype=torch.long)).tolist() == [False, True, False, True]
