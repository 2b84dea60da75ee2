"""Does the model look as if it expects normalised pictures, where it is shown pixels in [0, 1]?"""

from __future__ import annotations

from torch import nn

from robustcnn.attacks.black_box import black_box_in
from robustcnn.core.results import Finding, Share
from robustcnn.core.runtime import out_of_memory
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.checks.bench import finding
from robustcnn.evaluate.predict import predict
from robustcnn.models.normalised import Normalised

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: Statistics = ((0.5,), (0.5,))


def unnormalised(model: nn.Module, data: ResidentDataset) -> tuple[Finding, ...]:
    """A finding where the usual normalisations make the model surely better; black boxes are not asked for this."""
    if black_box_in(model) is not None:
        return ()
    plain = _accuracy(model, data)
    tried = [(data.spec.mean, data.spec.std), HALF, *([IMAGENET] if data.spec.channels == 3 else [])]
    shares = {each: found for each in tried if min(each[1]) > 0 and (found := _normalised(model, data, each))}
    best = max(shares, key=lambda each: shares[each].hits, default=None)
    if best is None or shares[best].low <= plain.high:
        return ()
    mean, std = (" ".join(f"{value:.3g}" for value in values) for values in best)
    return (
        finding(
            "input range",
            f"the model gets {plain} of the pictures right as pixels in [0, 1], and {shares[best]} once normalised",
            figure=shares[best].value,
            trouble="warn",
            cure=f"it looks as if it expects normalised pictures: wrap it in robustcnn.models.Normalised, "
            f"or say --mean {mean} --std {std}",
        ),
    )


def _normalised(model: nn.Module, data: ResidentDataset, statistics: Statistics) -> Share | None:
    try:
        return _accuracy(Normalised(model, *statistics), data)
    except Exception as problem:  # of any kind: a model that takes pixels alone may say so in many ways
        if out_of_memory(problem):
            raise
        return None


def _accuracy(model: nn.Module, data: ResidentDataset) -> Share:
    right = predict(model, data).argmax(1) == data.labels
    return Share.of(int(right.sum()), len(right))
