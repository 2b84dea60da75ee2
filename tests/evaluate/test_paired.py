"""Who is more robust, on the same examples: by hand, and stopped as soon as it is sure."""

from __future__ import annotations

import pytest
import torch
from straight import STEEPEST, Linear, balls, examples
from torch import nn

from robustcnn.core.audited import Paired
from robustcnn.core.results import RobustnessReport
from robustcnn.data.resident import ResidentDataset
from robustcnn.evaluate import evaluate
from robustcnn.evaluate.exact import mcnemar
from robustcnn.evaluate.paired import paired_models, paired_reports

(SMALL, LARGE) = balls("linf", 4 / 255, 16 / 255)


class Crooked(nn.Module):
    """Says the opposite: right where the label is one of the flipped."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Linear()
        with torch.no_grad():
            self.inner.weight *= -1
            self.inner.bias = -0.5 * self.inner.weight.sum().item()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.inner(images)
        return logits


def report(model: nn.Module, data: ResidentDataset, name: str) -> RobustnessReport:
    return evaluate(model, data, [STEEPEST], [SMALL, LARGE], name=name)


def test_only_the_examples_on_which_they_differ_count() -> None:
    data = examples()
    straight, crooked = report(Linear(), data, "straight"), report(Crooked(), data, "crooked")
    found = paired_reports(straight, crooked, SMALL)
    stand = [
        torch.tensor([eps is None or eps > SMALL.eps for eps in each.smallest[0].eps]) for each in (straight, crooked)
    ]
    assert found.only_first == int((stand[0] & ~stand[1]).sum()) > 20
    assert found.only_second == int((stand[1] & ~stand[0]).sum())
    assert found.difference == pytest.approx((stand[0].sum() - stand[1].sum()).item() / len(data))
    assert found.p == mcnemar(found.only_first, found.only_second) < 1e-4
    assert found.says.startswith(f"straight is more robust than crooked, by {100 * found.difference:.1f} points, sure")
    assert paired_reports(crooked, straight, SMALL).says.startswith("straight is more robust than crooked")


def test_a_model_is_no_better_than_itself() -> None:
    same = report(Linear(), examples(), "a")
    found = paired_reports(same, same, LARGE)
    assert (found.only_first, found.only_second, found.p, found.settled) == (0, 0, 1.0, None)
    assert found.says.startswith("no difference shown between a and a: 0 examples only a withstands")


def test_attacking_stops_as_soon_as_it_is_sure() -> None:
    small = examples()
    data = small.subset(torch.arange(4 * len(small)) % len(small))
    pair = (("straight", Linear()), ("crooked", Crooked()))
    lines: list[str] = []
    found = paired_models(pair, data, [STEEPEST], SMALL, say=lines.append)
    assert found.settled is not None
    assert found.settled <= found.count < len(data)
    assert found.count == 50 * len(lines)
    equal = paired_models((("a", Linear()), ("b", Linear())), small, [STEEPEST], SMALL)
    assert (equal.count, equal.settled) == (len(small), None)


def test_different_examples_or_balls_are_refused() -> None:
    data = examples()
    first = report(Linear(), data, "a")
    with pytest.raises(ValueError, match="a and b were attacked on different examples"):
        paired_reports(first, report(Linear(), data.subset(10), "b"), SMALL)
    with pytest.raises(ValueError, match=r"a was not attacked in l2 1 \(evaluate it there: --norm l2"):
        paired_reports(first, first, *balls("l2", 1.0))


def test_the_sentence_names_the_winner_and_both_p() -> None:
    found = Paired(
        first="a", second="b", ball="linf 8/255", count=200, only_first=3, only_second=15, p=0.0075, anytime_p=0.04,
        settled=180,
    )  # fmt: skip
    assert found.says == (
        "b is more robust than a, by 6.0 points, sure after 180 examples: 3 examples only a withstands, 15 only b, "
        "of 200 in linf 8/255; McNemar's exact p = 0.0075, anytime-valid 0.04"
    )
