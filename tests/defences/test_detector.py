"""A detector by squeezing sees what was made without regard to it."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest
import torch
from small_digits import Digits
from torch import Tensor, nn

from robustcnn.attacks import PGD
from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.core.threat import ThreatModel
from robustcnn.defences import Detection, Disagreement, EachClass, Squeezed, WithDetector, detection, threshold_for
from robustcnn.models import PixelModel

THREAT = ThreatModel(eps=0.15)
FALSE_POSITIVES = 0.05


class Watched(NamedTuple):
    detector: Disagreement
    threshold: float
    victim: WithDetector


@pytest.fixture(scope="module")
def watched(plain: PixelModel, digits: Digits) -> Watched:
    detector = Disagreement(plain, Squeezed(plain, bits=3, straight_through=True)).eval()
    threshold = threshold_for(detector, digits.test, false_positives=FALSE_POSITIVES)
    return Watched(detector, threshold, WithDetector(plain, detector, threshold).eval())


def fooling(model: nn.Module, images: Tensor, digits: Digits) -> Tensor:
    return images[model(images).argmax(1) != digits.labels]


class Says(nn.Module):
    """The same probabilities for every image."""

    def __init__(self, *probabilities: float) -> None:
        super().__init__()
        self.logits = torch.tensor(probabilities).log()

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), -1)


def test_the_score_is_the_log_odds_of_the_distance_of_two_answers() -> None:
    score = Disagreement(Says(0.7, 0.2, 0.1), Says(0.3, 0.2, 0.5))(torch.zeros(2, 1, 4, 4))
    torch.testing.assert_close(score, torch.tensor(0.4).logit().expand(2))


def test_a_score_keeps_its_slope_where_both_answers_are_sure_and_opposed() -> None:
    logits = torch.tensor([[50.0, 0.0]], requires_grad=True)
    Disagreement(nn.Identity(), Says(1e-30, 1.0))(logits).backward()
    # Of a distance that rounds to 1.
    torch.testing.assert_close(logits.grad, torch.tensor([[1.0, -1.0]]))


def test_the_threshold_is_exceeded_by_the_share_that_was_asked_for(watched: Watched, digits: Digits) -> None:
    scores = torch.cat([watched.detector(images) for images, _ in digits.test.batches(512)])
    assert (scores > watched.threshold).float().mean().item() == pytest.approx(FALSE_POSITIVES, abs=1 / len(scores))


def test_the_last_class_is_the_answer_exactly_above_the_threshold(
    watched: Watched, plain: PixelModel, digits: Digits
) -> None:
    answers, plainly = watched.victim(digits.images).argmax(1), plain(digits.images).argmax(1)
    above = watched.detector(digits.images) > watched.threshold
    assert 0 < above.sum() < len(above)
    assert torch.equal(answers, torch.where(above, 10, plainly))
    assert torch.equal(watched.victim.stands(digits.images, digits.labels), above | (plainly == digits.labels))


def test_the_detector_sees_a_plain_attack_and_not_one_that_knows_it(
    watched: Watched, plain: PixelModel, digits: Digits
) -> None:
    images, labels = digits.images, digits.labels
    naive = PGD(stop=True)(plain, images, labels, THREAT)
    knowing = EachClass()(watched.victim, images, labels, THREAT)
    seen, unseen = (
        detection(watched.detector, images, fooling(plain, each, digits), threshold=watched.threshold)
        for each in (naive, knowing)
    )
    assert seen.auc > 0.9
    assert seen.caught.value > 0.5
    assert seen.false_alarms == unseen.false_alarms
    assert unseen.caught.hits == 0
    assert unseen.caught.count > 64
    stands = [watched.victim.stands(each, labels).float().mean().item() for each in (naive, knowing)]
    assert stands[0] > 0.6
    assert stands[1] < 0.3


def test_an_attack_that_goes_on_behind_the_threshold_spoils_the_ranking_too(
    watched: Watched, plain: PixelModel, digits: Digits
) -> None:
    naive = PGD(stop=True)(plain, digits.images, digits.labels, THREAT)
    knowing = EachClass(attack=PGD())(watched.victim, digits.images, digits.labels, THREAT)
    before, after = (
        detection(watched.detector, digits.images, fooling(plain, each, digits), threshold=watched.threshold).auc
        for each in (naive, knowing)
    )
    assert after < before - 0.1


def test_each_class_stays_in_the_ball_and_repeats_itself(watched: Watched, digits: Digits) -> None:
    images, labels = digits.images[:16], digits.labels[:16]
    first, second = (EachClass()(watched.victim, images, labels, THREAT) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, images)
    assert THREAT.distance(first, images).max() <= THREAT.eps * (1 + 1e-5)
    assert torch.equal(EachClass()(watched.victim, images, labels, ThreatModel(eps=0)), images)


def test_a_detection_survives_json_and_needs_images_of_both_kinds(watched: Watched, digits: Digits) -> None:
    found = detection(watched.detector, digits.images, digits.images, threshold=watched.threshold)
    assert found.auc == pytest.approx(0.5)
    assert from_plain(Detection, json.loads(json.dumps(to_plain(found)))) == found
    with pytest.raises(ValueError, match="images of both kinds, got 128 clean, 0 attacked"):
        detection(watched.detector, digits.images, digits.images[:0], threshold=0)


def test_a_share_of_false_positives_that_is_none_is_refused(watched: Watched, digits: Digits) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1, got 5"):
        threshold_for(watched.detector, digits.test, false_positives=5)
