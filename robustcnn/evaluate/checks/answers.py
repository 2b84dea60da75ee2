"""Can the model's answers be attacked at all: do they repeat, are they logits, is there a way back to the input?"""

from __future__ import annotations

from torch import Tensor, nn

from robustcnn.attacks.base import input_gradient
from robustcnn.core.losses import log_odds
from robustcnn.core.results import Finding, Share
from robustcnn.core.runtime import evaluating
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.checks.bench import finding
from robustcnn.evaluate.predict import predict

ROUNDING = 1e-2
"""Of the spread of the logits: more than TF32 and another batch size change, far less than random layers do."""


def repeatable(model: nn.Module, data: ResidentDataset) -> Finding:
    """The same images give the same logits, also in other company."""
    first = predict(model, data, batch_size=len(data))
    again = predict(model, data, batch_size=max(len(data) // 2, 1))
    changed = Share.of(int(((first - again).abs().amax(1) > ROUNDING * first.std()).sum()), len(data))
    return finding(
        "repeatable answers",
        f"asked twice, the model changes its logits for {changed.hits} of {changed.count} images",
        figure=changed.value,
        trouble="warn" if changed.hits else None,
        cure="it draws random numbers or mixes the images of a batch; all further checks take mean gradients and mean "
        "logits of several draws, and so should every attack (eot=10, or AutoAttack(version='rand'))",
    )


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
        trouble="warn" if probabilities.hits == probabilities.count else None,
        cure="their slope rounds away where the model is sure of itself; let it return what goes into the softmax",
    )


def _sum_to_one(scores: Tensor) -> Tensor:
    inside = ((scores >= 0) & (scores <= 1)).all(1)
    return inside & ((scores.double().sum(1) - 1).abs() < 1e-4)


def differentiable(model: nn.Module, data: ResidentDataset) -> Finding:
    """There is a gradient of the input at all."""
    images, _ = next(data.batches(1))
    refusal = None
    try:
        with evaluating(model):
            input_gradient(model, images, lambda scores, part: log_odds(scores, data.labels[:1][part]))
    except ValueError as problem:
        refusal = str(problem)
    return finding(
        "input gradient",
        refusal or "the model can be differentiated with respect to its input",
        figure=None,
        trouble="fail" if refusal else None,
        cure="the checks that need a gradient are left out",
    )


CHECKS = (repeatable, logits, differentiable)
