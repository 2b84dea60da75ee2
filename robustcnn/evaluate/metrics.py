"""What a set of answers is worth: right and wrong by class, ranking, calibration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from robustcnn.core.losses import is_answer, log_odds
from robustcnn.core.results import Bin, ClassMetrics, Metrics, Share
from robustcnn.core.roomy import slices

BINS = 10
"""Of equal width, over the confidence; each holds its lower edge, the last one also 1."""
ROC_POINTS = 101
"""At most so many are kept of a curve, its ends among them."""
PART = 4096
"""Rows whose odds are taken together: what that needs on the way is several times what it gives."""
NEVER = -1000.0
"""A logit whose probability is 0 in float64."""


def metrics(logits: Tensor, labels: Tensor, classes: Sequence[str]) -> Metrics:
    """Of logits (N, K); a class without examples has no precision, recall, F1 or AUC and is left out of the means.

    Logits that have no softmax count as a wrong answer: all classes but the true one are equally likely, and the first
    of them is predicted.
    """
    _check(logits, labels, classes)
    labels = labels.cpu()
    logits = _answered(logits.detach().cpu(), labels).double()
    probabilities = logits.softmax(1)
    confidence, right = probabilities.amax(1), logits.argmax(1) == labels
    confusion = _confusion(labels, logits.argmax(1), len(classes))
    each = tuple(_of_class(index, name, confusion, logits, labels) for index, name in enumerate(classes))
    reliability = _reliability(confidence, right)
    errors = probabilities.scatter_add(1, labels[:, None], -torch.ones_like(probabilities[:, :1])).square_().sum(1)
    recall = _mean(one.recall.value for one in each)
    return Metrics(
        accuracy=Share.of(int(right.sum()), len(labels)),
        balanced_accuracy=recall,
        precision_macro=_mean(one.precision for one in each),
        recall_macro=recall,
        specificity_macro=_mean(one.specificity for one in each),
        f1_macro=_mean(one.f1 for one in each),
        f1_weighted=sum(one.f1 * one.support for one in each if one.f1 is not None) / len(labels),
        auc=_mean(one.auc for one in each),
        log_loss=float(-_true(probabilities, labels).clamp_min(torch.finfo(torch.float64).eps).log().mean()),
        brier=float(errors.mean()),
        calibration_error=_calibration_error(reliability),
        confidence=float(confidence.mean()),
        confidence_wrong=None if right.all() else float(confidence[~right].mean()),
        classes=each,
        confusion=tuple(map(tuple, confusion.tolist())),
        reliability=reliability,
    )


def _check(logits: Tensor, labels: Tensor, classes: Sequence[str]) -> None:
    if not len(labels):
        raise ValueError("labels must hold at least one example, got none: there is nothing to measure")
    if logits.shape != (len(labels), len(classes)):
        raise ValueError(
            f"logits must be ({len(labels)}, {len(classes)}), a row a label and a column a class, "
            f"got {tuple(logits.shape)}"
        )


def _answered(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits that have a softmax everywhere."""
    anything_else = torch.zeros_like(logits).scatter_(1, labels[:, None], NEVER)
    return torch.where(is_answer(logits)[:, None], logits, anything_else)


def _confusion(labels: Tensor, answers: Tensor, count: int) -> Tensor:
    """True classes in rows, answers in columns."""
    return torch.bincount(labels * count + answers, minlength=count * count).view(count, count)


def _true(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Of each example's own class."""
    return probabilities.gather(1, labels[:, None])


def _of_class(index: int, name: str, confusion: Tensor, logits: Tensor, labels: Tensor) -> ClassMetrics:
    hits, support = int(confusion[index, index]), int(confusion[index].sum())
    claimed, others = int(confusion[:, index].sum()), len(labels) - support
    area, roc = _ranking(index, logits, labels) if support and others else (None, ())
    return ClassMetrics(
        name=name,
        support=support,
        precision=hits / claimed if support and claimed else None,
        recall=Share.of(hits, support),
        specificity=1 - (claimed - hits) / others if others else None,
        f1=2 * hits / (claimed + support) if support else None,
        auc=area,
        roc=roc,
    )


def _ranking(index: int, logits: Tensor, labels: Tensor) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Area under the curve, and the curve."""
    # They rank as the probabilities do, also where those all round to 1.
    true = torch.full_like(labels, index)
    odds = torch.cat([-log_odds(logits[rows], true[rows]).nan_to_num() for rows in slices(len(labels), PART)])
    false, true = _roc(labels == index, odds)
    kept = torch.linspace(0, len(false) - 1, min(len(false), ROC_POINTS)).round().long()
    roc = tuple(zip(false[kept].tolist(), true[kept].tolist(), strict=True))
    return float(torch.trapezoid(true, false)), roc


def _roc(positive: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of false and of true alarms from the highest threshold to the lowest, without points between others."""
    order = score.argsort(descending=True, stable=True)
    last = torch.cat([score[order].diff() != 0, torch.ones(1, dtype=torch.bool)])
    counts = [side[order].cumsum(0)[last] for side in (~positive, positive)]
    # A point between two on one line is none that a picture needs.
    bends = (counts[0].diff(n=2) != 0) | (counts[1].diff(n=2) != 0)
    kept = torch.ones(len(counts[0]), dtype=torch.bool)
    if len(kept) > 2:
        kept[1:-1] = bends
    start = torch.zeros(1, dtype=torch.float64)
    false, true = (torch.cat([start, side[kept].double() / side[-1]]) for side in counts)
    return false, true


def _reliability(confidence: Tensor, right: Tensor) -> tuple[Bin, ...]:
    where = (confidence * BINS).long().clamp_max(BINS - 1)
    return tuple(_bin(confidence[where == index], right[where == index]) for index in range(BINS))


def _bin(confidence: Tensor, right: Tensor) -> Bin:
    if not len(right):
        return Bin(count=0, confidence=None, accuracy=None)
    return Bin(count=len(right), confidence=float(confidence.mean()), accuracy=float(right.double().mean()))


def _calibration_error(reliability: Sequence[Bin]) -> float:
    """The mean distance between confidence and accuracy, each bin weighing as much as it holds."""
    gaps = [
        each.count * abs(each.confidence - each.accuracy)
        for each in reliability
        if each.confidence is not None and each.accuracy is not None
    ]
    return sum(gaps) / sum(each.count for each in reliability)


def _mean(values: Iterable[float | None]) -> float | None:
    """Over those that are defined."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
