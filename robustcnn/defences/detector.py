"""Detecting adversarial examples: by how little two views of an image agree (Xu et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robustcnn.core.results import Share
from robustcnn.core.runtime import evaluating
from robustcnn.data.resident import ResidentDataset


class Disagreement(nn.Module):
    """A detector: one score (N,) an image, the log-odds of the distance between a model's answer and another's.

    `other` is the same model behind a defence, such as a `Squeezed`. The distance is that of total variation, half the
    l1 distance of the probabilities; its log-odds rank alike, and have a slope where the answers are sure and opposed.
    """

    def __init__(self, model: nn.Module, other: nn.Module) -> None:
        super().__init__()
        self.model, self.other = model, other

    def forward(self, images: Tensor) -> Tensor:
        ours, theirs = (model(images).log_softmax(1) for model in (self.model, self.other))
        distance = (ours.exp() - theirs.exp()).relu().sum(1)
        # What two distributions share is 1 - distance, without its rounding.
        shared = ours.minimum(theirs).logsumexp(1)
        score: Tensor = distance.clamp_min(torch.finfo(distance.dtype).tiny).log() - shared
        return score


def threshold_for(detector: nn.Module, clean: ResidentDataset, *, false_positives: float = 0.05) -> float:
    """The score that so great a share of `clean` exceeds; choose it on validation data."""
    if not 0 < false_positives < 1:
        raise ValueError(f"false_positives must lie strictly between 0 and 1, got {false_positives:g}")
    with torch.no_grad(), evaluating(detector):
        scores = torch.cat([detector(images) for images, _ in clean.batches(512)])
    return scores.float().quantile(1 - false_positives).item()


class WithDetector(nn.Module):
    """A model that may answer `detected`: one logit more, the greatest exactly where the score is above the threshold.

    To lead it to a class of the data is to fool model and detector at once (Carlini & Wagner 2017), so that every
    targeted attack serves; `EachClass` tries them all.
    """

    def __init__(self, model: nn.Module, detector: nn.Module, threshold: float) -> None:
        super().__init__()
        self.model, self.detector, self.threshold = model, detector, threshold

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        alarm = logits.amax(1) + self.detector(images) - self.threshold
        return torch.cat([logits, alarm.unsqueeze(1)], 1)

    @torch.no_grad()
    def stands(self, images: Tensor, labels: Tensor) -> Tensor:
        """Which of the attacked images (N,) it sees through: the right class, or `detected`."""
        with evaluating(self):
            logits = self(images)
        answers = logits.argmax(1)
        seen_through: Tensor = (answers == labels) | (answers == logits.shape[1] - 1)
        return seen_through


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """How well a detector tells attacked images from others."""

    auc: float
    """Chance that an attacked image has a greater score than a clean one."""
    caught: Share
    """Attacked images above the threshold."""
    false_alarms: Share
    """Clean images above it."""


@torch.no_grad()
def detection(detector: nn.Module, clean: Tensor, attacked: Tensor, *, threshold: float) -> Detection:
    """Give attacked images that do fool the model: of the others there is nothing to detect."""
    from sklearn.metrics import roc_auc_score

    if not len(clean) or not len(attacked):
        raise ValueError(
            f"a detector is measured on images of both kinds, got {len(clean)} clean, {len(attacked)} attacked"
        )
    with evaluating(detector):
        usual, other = (detector(images).double().cpu() for images in (clean, attacked))
    truth = torch.cat([torch.zeros_like(usual), torch.ones_like(other)])
    above = [int((scores > threshold).sum()) for scores in (usual, other)]
    return Detection(
        auc=float(roc_auc_score(truth, torch.cat([usual, other]))),
        caught=Share.of(above[1], len(other)),
        false_alarms=Share.of(above[0], len(usual)),
    )
