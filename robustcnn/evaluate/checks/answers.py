"""Can the model's answers be attacked at all: does it answer, the same each time, with logits, with a way back?"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import input_gradient
from robustcnn.attacks.black_box import black_box_in
from robustcnn.core.losses import is_right, log_odds
from robustcnn.core.results import Finding, Share
from robustcnn.core.runtime import evaluating, first_line
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.checks.bench import finding
from robustcnn.evaluate.first_look import first_look
from robustcnn.evaluate.predict import predict
from robustcnn.fast.plain_view import plain_view

ROUNDING = 1e-2
"""Of the spread of the logits: more than another batch size changes, far less than random layers do."""
PATIENCE = 10.0
"""Seconds for one image, after which there is no point in attacking it thousands of times."""
SIZES = (1, 2, 7)
"""Batches that attacks come down to as examples leave."""


def answers(model: nn.Module, data: ResidentDataset) -> Finding:
    """It takes batches of any size, and gives a row of numbers for each picture, in a time that can be waited for."""
    refusal = None
    try:
        seconds = first_look(model, data.images[:1], again=black_box_in(model) is None)
        if seconds > PATIENCE:
            refusal = f"the model takes {seconds:.0f} s for one image, and would be asked many thousand times"
        else:
            for size in {min(size, len(data)) for size in (*SIZES, len(data))}:
                _asked(model, data, size)
    except Exception as problem:  # of any kind: a model may fail in any way
        refusal = str(problem) if isinstance(problem, ValueError) else first_line(problem)
    return finding(
        "answers",
        refusal or f"the model answers batches of 1 to {len(data)} images with one row of numbers each",
        figure=None,
        trouble="fail" if refusal else None,
        cure="nothing can be measured before it does; all other checks are left out",
    )


@torch.no_grad()
def _asked(model: nn.Module, data: ResidentDataset, size: int) -> None:
    images = data.images[:size].clone()
    with evaluating(model):
        logits = plain_view(model)(images)
    if logits.ndim != 2 or len(logits) != size:
        raise ValueError(f"the model returns {tuple(logits.shape)} for {size} images, not a row of logits for each")
    if logits.shape[1] != data.spec.num_classes:
        raise ValueError(f"the model tells {logits.shape[1]} classes apart, {data.name} has {data.spec.num_classes}")


def repeatable(model: nn.Module, data: ResidentDataset) -> Finding:
    """The same batch gives the same logits."""
    first, again = (predict(model, data, batch_size=len(data)) for _ in range(2))
    changed = differing(first, again)
    return finding(
        "repeatable answers",
        f"asked twice, the model changes its logits for {changed.hits} of {changed.count} images",
        figure=changed.value,
        trouble="warn" if changed.hits else None,
        cure="it draws random numbers; all further checks take mean gradients and mean logits of several draws, and so "
        "should every attack (eot=10, or AutoAttack(version='rand'))",
    )


def differing(first: Tensor, again: Tensor) -> Share:
    """Of how many images the logits differ by more than rounding does; what is no number twice is the same."""
    first, again = (each.nan_to_num(nan=1e9, posinf=1e9, neginf=-1e9) for each in (first, again))
    spread = first.std() if first.numel() > 1 else first.abs().amax()
    return Share.of(int(((first - again).abs().amax(1) > ROUNDING * spread).sum()), len(first))


def logits(model: nn.Module, data: ResidentDataset) -> Finding:
    """The scores are finite, and not probabilities, whose slope rounds away where the model is sure."""
    scores = predict(model, data)
    broken = Share.of(int((~scores.isfinite()).any(1).sum()), len(data))
    probabilities = Share.of(int(_sum_to_one(scores).sum()), len(data))
    if broken.hits:
        return finding(
            "scores are logits",
            f"the scores of {broken.hits} of {broken.count} images are not finite",
            figure=broken.value,
            trouble="fail",
            cure="no attack can climb them; look for a division by zero or an overflow in the model",
        )
    return finding(
        "scores are logits",
        f"the scores of {probabilities.hits} of {probabilities.count} images are probabilities",
        figure=probabilities.value,
        # Nobody climbs the scores of a black box.
        trouble="fail" if probabilities.hits == probabilities.count and black_box_in(model) is None else None,
        cure="their slope rounds away where the model is sure of itself, and so does any loss built on them; "
        "let it return what goes into the softmax",
    )


def _sum_to_one(scores: Tensor) -> Tensor:
    inside = ((scores >= 0) & (scores <= 1)).all(1)
    return inside & ((scores.double().sum(1) - 1).abs() < 1e-4)


def label_order(model: nn.Module, data: ResidentDataset) -> Finding:
    """The model is right more often than chance: else its classes are not the data's, or not in their order."""
    scores = predict(model, data)
    # What is no answer at all is another check's.
    answered = scores.isfinite().all(1)
    right = Share.of(int(is_right(scores, data.labels).sum()), int(answered.sum()))
    chance = data.counts.amax().item() / len(data) if len(data) else 0.0
    chance = min(chance, 1 / data.spec.num_classes)
    return finding(
        "label order",
        f"of {right.count} images {right.hits} are right without an attack; chance is {100 * chance:.0f} %",
        figure=right.value,
        trouble="fail" if right.high < chance else None,
        cure="the classes seem to be in another order than the data's; what is wrong from the start cannot be attacked",
    )


def differentiable(model: nn.Module, data: ResidentDataset) -> Finding:
    """There is a gradient of the input at all."""
    images, _ = next(data.batches(1))
    refusal = None
    try:
        with evaluating(model):
            input_gradient(model, images, lambda scores, part: log_odds(scores, data.labels[:1][part]))
    except Exception as problem:  # models say in many ways that they cannot be differentiated
        refusal = str(problem) if isinstance(problem, ValueError) else first_line(problem)
    return finding(
        "input gradient",
        refusal or "the model can be differentiated with respect to its input",
        figure=None,
        # That a black box can only be asked is no fault of the measurement.
        trouble=None if not refusal else "fail" if black_box_in(model) is None else "warn",
        cure="the checks that need a gradient are left out",
    )
