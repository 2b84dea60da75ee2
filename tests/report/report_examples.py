"""A made-up evaluation of ten classes, as an evaluator would give it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from sklearn.metrics import f1_score, roc_auc_score, roc_curve

from robustcnn.core.results import (
    AttackScore,
    Bin,
    ClassMetrics,
    CorruptionScore,
    EpochMetrics,
    Finding,
    Metrics,
    RobustnessReport,
    Scores,
    Share,
    Smallest,
    ThreatScore,
    TransferScore,
)
from robustcnn.report.entry import Entry
from robustcnn.report.gallery import Gallery

NAMES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
COUNT = 300
EPS = {"linf": tuple(level / 255 for level in (1, 2, 4, 8, 12, 16)), "l2": (0.1, 0.25, 0.5, 1.0, 1.5, 2.0)}
ATTACKS = ("PGD(steps=40)", "Square(queries=1000)")


@cache
def make_metrics(signal: float, *, names: tuple[str, ...] = NAMES, seed: int = 0, count: int = COUNT) -> Metrics:
    """Of random answers that are right the more often the larger `signal`."""
    random, classes = np.random.default_rng(seed), len(names)
    truth = np.arange(count) % classes
    logits = random.normal(size=(count, classes)) + signal * np.eye(classes)[truth]
    chances = np.exp(1.5 * logits)
    chances /= chances.sum(1, keepdims=True)
    answers, confidence = chances.argmax(1), chances.max(1)
    right = answers == truth
    hot = np.eye(classes)[truth]
    wrong = confidence[~right]
    tenths = [(confidence >= low / 10) & (confidence < low / 10 + 0.1) for low in range(10)]
    bins = tuple(
        Bin(
            count=int(chosen.sum()),
            confidence=float(confidence[chosen].mean()) if chosen.any() else None,
            accuracy=float(right[chosen].mean()) if chosen.any() else None,
        )
        for chosen in tenths
    )
    return Metrics(
        accuracy=Share.of(int(right.sum()), count),
        balanced_accuracy=float(right.mean()),
        precision_macro=0.8,
        recall_macro=0.8,
        specificity_macro=0.95,
        f1_macro=float(f1_score(truth, answers, average="macro")),
        f1_weighted=float(f1_score(truth, answers, average="weighted")),
        auc=float(roc_auc_score(hot, chances)),
        log_loss=float(-np.log(chances[np.arange(count), truth]).mean()),
        brier=float(((chances - hot) ** 2).sum(1).mean()),
        calibration_error=sum(each.count * abs(each.confidence - each.accuracy) for each in bins if each.count) / count,
        confidence=float(confidence.mean()),
        confidence_wrong=float(wrong.mean()) if len(wrong) else None,
        classes=tuple(_one_class(name, index, truth, answers, chances) for index, name in enumerate(names)),
        confusion=tuple(
            tuple(int(((truth == row) & (answers == column)).sum()) for column in range(classes))
            for row in range(classes)
        ),
        reliability=bins,
    )


def _one_class(name: str, index: int, truth: np.ndarray, answers: np.ndarray, chances: np.ndarray) -> ClassMetrics:
    mine = truth == index
    false, true, _ = roc_curve(mine, chances[:, index])
    return ClassMetrics(
        name=name,
        support=int(mine.sum()),
        precision=0.8,
        recall=Share.of(int((mine & (answers == index)).sum()), int(mine.sum())),
        specificity=0.95,
        f1=0.8,
        auc=0.9,
        roc=tuple(zip(false.tolist(), true.tolist(), strict=True)),
    )


@cache
def make_report(
    name: str, *, strength: float = 0.5, names: tuple[str, ...] = NAMES, findings: tuple[Finding, ...] | None = None
) -> RobustnessReport:
    """A model that breaks the later the greater its `strength`."""
    threats = tuple(
        _threat(norm, eps, 4 - 6 * (0.3 + index) / 6 / (0.4 + strength), names)
        for norm, radii in EPS.items()
        for index, eps in enumerate(radii)
    )
    return RobustnessReport(
        model=name,
        data="fashion-mnist",
        fingerprint="0123456789abcdef",
        count=COUNT,
        clean=make_metrics(4.0, names=names),
        threats=threats,
        smallest=tuple(_smallest(norm, threats) for norm in EPS),
        findings=FINDINGS if findings is None else findings,
        corruptions=tuple(
            CorruptionScore(
                corruption=corruption,
                accuracy=tuple(Share.of(int(COUNT * (0.95 - drop * severity)), COUNT) for severity in range(1, 6)),
            )
            for corruption, drop in (("gaussian noise", 0.1), ("blur", 0.06), ("brightness", 0.02), ("JPEG", 0.01))
        ),
        made_by={"robustcnn": "0.1.0", "torch": "2.14.1", "device": "cpu", "seed": "7", "search": "bf16"},
    )


def _threat(norm: str, eps: float, signal: float, names: tuple[str, ...]) -> ThreatScore:
    worst = make_metrics(signal, names=names, seed=1)
    scores = tuple(
        AttackScore(
            attack=attack,
            metrics=make_metrics(signal + 0.15 * (1 + 2 * index), names=names, seed=1),
            first=100 - 90 * index,
            kept_as_bytes=Share.of(88, 100),
            distances={norm: 0.97 * eps, "l1": 20 * eps},
            seconds=3.2 + 9 * index,
        )
        for index, attack in enumerate(ATTACKS)
    )
    return ThreatScore(norm=norm, eps=eps, robust=worst.accuracy, worst=worst, attacks=scores)


def _smallest(norm: str, threats: tuple[ThreatScore, ...]) -> Smallest:
    eps: list[float | None] = [0.0] * 15
    for threat in (each for each in threats if each.norm == norm):
        eps += [threat.eps] * (COUNT - threat.robust.hits - len(eps))
    eps += [None] * (COUNT - len(eps))
    return Smallest(norm=norm, eps=tuple(eps), median=eps[COUNT // 2])


FINDINGS = (
    Finding(check="unbounded attack", verdict="pass", figure=0.0, says="With no limit on eps every example falls."),
    Finding(check="more steps", verdict="warn", figure=0.021, says="Twice the steps break 2.1 % more: use more steps."),
    Finding(
        check="black box beats gradients",
        verdict="fail",
        figure=0.12,
        says="Square breaks 12 % of the examples on which PGD failed, so that the gradients are probably masked; "
        "attack with Square and with transferred examples, and look for a non-differentiable layer.",
    ),
    Finding(
        check="noise", verdict="pass", figure=None, says="Random noise in the same ball is weaker than the attack."
    ),
)


def make_history(epochs: int = 12) -> tuple[EpochMetrics, ...]:
    """Falls, then overfits from the eighth epoch on."""
    valid = [2.0 * 0.6**epoch + 0.2 + 0.02 * max(0, epoch - 7) for epoch in range(epochs)]
    return tuple(
        EpochMetrics(
            epoch=epoch + 1,
            train_loss=2.1 * 0.6**epoch + 0.02,
            valid_loss=loss,
            valid_accuracy=0.9,
            learning_rate=0.1,
            images_per_second=9000.0,
            seconds=4.5,
            best=loss == min(valid[: epoch + 1]),
        )
        for epoch, loss in enumerate(valid)
    )


def make_gallery(channels: int = 1, *, count: int = 5, names: tuple[str, ...] = NAMES) -> Gallery:
    """Rings, and a change of at most 8/255."""
    generator = torch.Generator().manual_seed(3)
    line = torch.linspace(-1, 1, 28)
    radius = (line[:, None].square() + line.square()).sqrt()
    rings = torch.stack([(3 * (i + 2) * radius).sin() / 2 + 0.5 for i in range(count)])
    clean = rings[:, None].expand(-1, channels, -1, -1)
    change = 8 / 255 * (2 * torch.randint(0, 2, clean.shape, generator=generator) - 1)
    return Gallery(
        clean=clean,
        adversarial=(clean + change).clamp(0, 1),
        truth=names[:count],
        before=tuple((name, 0.99 - 0.05 * index) for index, name in enumerate(names[:count])),
        after=tuple((name, 0.6 + 0.05 * index) for index, name in enumerate(names[count - 1 :: -1])),
        threat="linf 8/255",
    )


def make_entries(*, names: tuple[str, ...] = NAMES) -> list[Entry]:
    """A robust model, one whose evaluation failed, and one that was only trained."""
    plain, robust = "plain", "adversarially trained"
    transfer = tuple(
        TransferScore(source=source, target=target, accuracy=Share.of(hits, 280))
        for source, target, hits in (
            (plain, plain, 3),
            (plain, robust, 240),
            (robust, plain, 190),
            (robust, robust, 150),
        )
    )
    calm = tuple(finding for finding in FINDINGS if finding.verdict == "pass")
    reports = {
        plain: make_report(plain, strength=0.2, names=names),
        robust: replace(make_report(robust, strength=2.0, names=names, findings=calm), transfer=transfer),
    }
    config = ("data.name = fashion-mnist", "model.name = smallcnn", "fit.epochs = 12")
    attacked = [
        Entry(name=name, report=report, history=make_history(), gallery=make_gallery(names=names), config=config)
        for name, report in reports.items()
    ]
    return [*attacked, Entry(name="only trained", history=make_history(5), scores=SCORES)]


SCORES = Scores(count=1000, loss=0.3, accuracy=0.913)
