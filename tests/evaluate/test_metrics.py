"""Metrics against tables worked out by hand, and against scikit-learn where it has the same figure."""

from __future__ import annotations

import json
import math

import pytest
import torch
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)
from torch import Tensor

from robustcnn.core.losses import is_right
from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.core.results import Metrics
from robustcnn.core.runtime import seeded
from robustcnn.evaluate.metrics import metrics

ABC = ("a", "b", "c")


def saying(predicted: list[int], classes: int = 3, *, sure: float = 0.8) -> Tensor:
    """Logits whose softmax gives the predicted class the probability `sure`, and the others equal shares."""
    rest = (1 - sure) / (classes - 1)
    return torch.full((len(predicted), classes), rest).scatter(1, torch.tensor(predicted)[:, None], sure).log()


def drawn(count: int = 300, classes: int = 4) -> tuple[Tensor, Tensor]:
    generator = seeded(3)
    labels = torch.randint(classes, (count,), generator=generator)
    logits = torch.randn(count, classes, generator=generator)
    logits[torch.arange(count), labels] += 1
    return logits, labels


def test_a_confusion_table_worked_out_by_hand() -> None:
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
    found = metrics(saying([0, 0, 0, 1, 1, 1, 2, 2, 0, 0]), labels, ABC)
    assert found.confusion == ((3, 1, 0), (0, 2, 1), (2, 0, 1))
    assert (found.accuracy.hits, found.accuracy.count) == (6, 10)

    assert [each.support for each in found.classes] == [4, 3, 3]
    assert [each.recall.value for each in found.classes] == pytest.approx([3 / 4, 2 / 3, 1 / 3])
    assert [each.precision for each in found.classes] == pytest.approx([3 / 5, 2 / 3, 1 / 2])
    assert [each.specificity for each in found.classes] == pytest.approx([4 / 6, 6 / 7, 6 / 7])
    assert [each.f1 for each in found.classes] == pytest.approx([2 / 3, 2 / 3, 2 / 5])
    assert found.f1_macro == pytest.approx((2 / 3 + 2 / 3 + 2 / 5) / 3)
    assert found.f1_weighted == pytest.approx((4 * 2 / 3 + 3 * 2 / 3 + 3 * 2 / 5) / 10)
    assert found.balanced_accuracy == found.recall_macro == pytest.approx((3 / 4 + 2 / 3 + 1 / 3) / 3)
    assert found.specificity_macro == pytest.approx((4 / 6 + 6 / 7 + 6 / 7) / 3)
    assert found.error == pytest.approx(0.4)


def test_calibration_worked_out_by_hand() -> None:
    sure = torch.tensor([0.95, 0.95, 0.95, 0.95, 0.65, 0.65])
    logits = torch.stack([sure, 1 - sure], 1).log()
    labels = torch.tensor([0, 0, 0, 1, 0, 1])
    found = metrics(logits, labels, ("yes", "no"))
    assert [(each.count, each.accuracy) for each in found.reliability if each.count] == [(2, 0.5), (4, 0.75)]
    assert found.calibration_error == pytest.approx((2 * 0.15 + 4 * 0.2) / 6)
    assert found.confidence == pytest.approx((4 * 0.95 + 2 * 0.65) / 6)
    assert found.confidence_wrong == pytest.approx((0.95 + 0.65) / 2)
    assert found.brier == pytest.approx(2 * (3 * 0.05**2 + 0.95**2 + 0.35**2 + 0.65**2) / 6)
    assert found.log_loss == pytest.approx(-(3 * math.log(0.95) + math.log(0.05 * 0.65 * 0.35)) / 6, rel=1e-6)


def test_the_edges_of_the_bins() -> None:
    found = metrics(torch.tensor([[0.0, 0.0], [99.0, 0.0], [0.0, 9999.0]]), torch.tensor([0, 0, 1]), ("yes", "no"))
    assert [each.count for each in found.reliability] == [0, 0, 0, 0, 0, 1, 0, 0, 0, 2]


def test_scikit_learn_agrees_when_every_class_is_there() -> None:
    logits, labels = drawn()
    found, predicted = metrics(logits, labels, "wxyz"), logits.argmax(1)
    probabilities = logits.double().softmax(1)
    assert found.precision_macro == pytest.approx(precision_score(labels, predicted, average="macro"))
    assert found.recall_macro == pytest.approx(recall_score(labels, predicted, average="macro"))
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found.f1_weighted == pytest.approx(f1_score(labels, predicted, average="weighted"))
    assert found.auc == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"))
    assert found.log_loss == pytest.approx(log_loss(labels, probabilities))


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    logits, labels = drawn(classes=2)
    lead = logits[:, 1] - logits[:, 0]
    ordered = (lead[labels == 1][:, None] > lead[labels == 0]).double().mean()
    found = metrics(logits, labels, ("no", "yes"))
    assert found.auc == pytest.approx(ordered.item())
    assert [each.auc for each in found.classes] == pytest.approx([ordered.item()] * 2)


def test_ranks_are_kept_where_probabilities_round_to_1() -> None:
    logits, labels = torch.tensor([[0.0, 60], [0, 70], [0, 80], [0, 90]]), torch.tensor([0, 1, 0, 1])
    assert (logits.double().softmax(1)[:, 1] == 1).all()
    assert metrics(logits, labels, ("no", "yes")).auc == 0.75


def test_a_long_curve_is_thinned_to_its_ends_and_99_points_between() -> None:
    logits, labels = drawn(count=4000, classes=2)
    curve = metrics(logits, labels, ("no", "yes")).classes[1].roc
    assert len(curve) == 101
    assert (curve[0], curve[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert list(curve) == sorted(curve)


def test_a_class_without_examples_is_undefined_and_left_out_of_the_means() -> None:
    found = metrics(saying([0, 0, 2, 1]), torch.tensor([0, 0, 1, 1]), ABC)
    absent = found.classes[2]
    assert found.undefined == ("c",)
    assert (absent.precision, absent.recall.value, absent.f1, absent.auc, absent.roc) == (None, None, None, None, ())
    assert absent.specificity == 3 / 4
    assert str(absent.recall) == "undefined"
    assert found.balanced_accuracy == 3 / 4
    assert found.precision_macro == 1.0
    assert found.f1_macro == found.f1_weighted == pytest.approx((1 + 2 / 3) / 2)


def test_a_class_that_is_never_predicted_has_no_precision_and_an_f1_of_0() -> None:
    found = metrics(saying([0, 0, 0], 2), torch.tensor([0, 1, 0]), ("yes", "no"))
    assert found.classes[1].precision is None
    assert found.classes[1].f1 == 0
    assert found.precision_macro == pytest.approx(2 / 3)


def test_a_sample_of_one_class_has_no_curve_and_no_specificity() -> None:
    found = metrics(saying([1, 1, 0]), torch.tensor([1, 1, 1]), ABC)
    assert found.auc is None
    assert found.classes[1].specificity is None
    assert found.classes[1].recall.hits == 2
    assert found.confidence_wrong == pytest.approx(0.8)
    assert metrics(saying([1]), torch.tensor([1]), ABC).confidence_wrong is None


@pytest.mark.parametrize("broken", [[math.nan] * 3, [1.0, math.nan, 0.0], [math.inf, 0.0, 0.0], [-math.inf] * 3])
def test_an_answer_that_is_no_number_counts_as_wrong(broken: list[float]) -> None:
    logits, labels = saying([0, 1, 2, 0]), torch.tensor([0, 1, 2, 0])
    logits[0] = torch.tensor(broken)
    assert is_right(logits, labels).tolist() == [False, True, True, True]
    found = metrics(logits, labels, ABC)
    assert found.accuracy.hits == 3
    assert found.confusion[0] == (1, 1, 0)
    assert found.confidence_wrong == 0.5
    assert found.log_loss > 9
    assert found.classes[0].auc == 0.5
    assert all(math.isfinite(value) for value in (found.brier, found.log_loss, found.calibration_error))


def test_a_class_ruled_out_by_the_model_is_an_answer() -> None:
    logits = torch.tensor([[1.0, 0.0, -math.inf], [0.0, 1.0, -math.inf]])
    assert metrics(logits, torch.tensor([0, 1]), ABC).accuracy.hits == 2


def test_metrics_survive_json() -> None:
    logits, labels = drawn(count=30)
    found = metrics(logits, labels, "wxyz")
    assert from_plain(Metrics, json.loads(json.dumps(to_plain(found)))) == found


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="labels must hold at least one example, got none"):
        metrics(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), ABC)
    with pytest.raises(ValueError, match=r"logits must be \(2, 3\), a row a label and a column a class, got \(2, 2\)"):
        metrics(torch.zeros(2, 2), torch.tensor([0, 1]), ABC)
