"""Any nn.Module on pixels in [0, 1]: networks as beginners write them, attacked and judged as what they are."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from beginners import NETWORKS, InADict, NamesOfOurs, Tutorial
from textbook import climb, compare, logits
from torch import Tensor, nn

from robustcnn.attacks import FGSM, PGD, craft
from robustcnn.attacks.craft import prepare
from robustcnn.core.runtime import evaluating
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.evaluate import evaluate, predict, run_checks
from robustcnn.fast.plain_view import PlainView
from robustcnn.fast.view import CoarseView, FastView

THREAT = ThreatModel(norm="linf", eps=0.03)


def pictures(count: int = 24, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 3, 32, 32), generator=generator).float() / 255


def data_of(model: nn.Module, count: int = 24) -> ResidentDataset:
    """With the model's own answers as labels."""
    spec = ImageSpec(channels=3, height=32, width=32, classes=tuple("0123456789"), mean=(0.5,) * 3, std=(0.25,) * 3)
    unlabelled = ResidentDataset(images=pictures(count), labels=torch.zeros(count, dtype=torch.int64), spec=spec)
    return ResidentDataset(images=pictures(count), labels=predict(model, unlabelled).argmax(1), spec=spec)


@pytest.mark.parametrize("name", NETWORKS)
def test_attacks_on_a_network_as_beginners_write_it_are_the_textbooks(name: str) -> None:
    torch.manual_seed(0)
    case = NETWORKS[name]
    model = case.make()
    outcome = compare(model, pictures(), eps=0.03, dtype=case.dtype)
    assert outcome.is_fast == case.is_fast
    assert bool(outcome.said) == (not outcome.is_fast)
    assert "\n" not in outcome.said


@pytest.mark.parametrize("name", NETWORKS)
def test_the_judge_takes_a_network_as_beginners_write_it(name: str) -> None:
    torch.manual_seed(0)
    case = NETWORKS[name]
    model, dtype = case.make(), case.dtype
    data = data_of(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = evaluate(model, data, [FGSM()], [ThreatModel(norm="linf", eps=0.1)])
    assert report.clean.accuracy.value == 1
    with evaluating(model):
        found = climb(model, data.images, data.labels, dtype, eps=0.1, steps=1, size=0.1)
        stand = int((logits(model, found, dtype).argmax(1) == data.labels).sum())
    assert abs(report.threats[0].robust.hits - stand) <= 1


def test_the_checklist_takes_the_tutorials_network() -> None:
    torch.manual_seed(0)
    model = Tutorial()
    findings = run_checks(model, data_of(model, 40), THREAT, count=20)
    assert [each.check for each in findings if each.verdict == "fail"] == []
    assert len(findings) > 10


def test_methods_by_the_names_of_ours_are_the_users_own() -> None:
    torch.manual_seed(0)
    model, images = NamesOfOurs().eval(), pictures(39)
    labels, large = model(images).argmax(1), ThreatModel(norm="linf", eps=0.9)
    for attacked in (
        PGD(steps=5, stop=True)(model, images, labels, large),
        craft(PGD(steps=5), model, images, labels, large),
    ):
        assert int((model(attacked).argmax(1) == labels).sum()) == 0


def test_a_model_that_changes_its_images_does_not_change_the_data() -> None:
    model = NETWORKS["in place"].make()
    data = data_of(model)
    before = data.images.clone()
    predict(model, data)
    craft(FGSM(), model, data.images, data.labels, THREAT)
    assert torch.equal(data.images, before)


def test_a_model_in_half_precision_is_searched_in_float32_and_believed_in_its_own() -> None:
    torch.manual_seed(0)
    model, images = NETWORKS["half"].make(), pictures()
    view = prepare(model, images, predict(model, data_of(model)).argmax(1))
    assert isinstance(view, CoarseView)
    with torch.no_grad():
        own = model(images.half()).float()
    assert torch.equal(view.exact(images), own)
    assert 0 < (view(images) - own).abs().max() < 0.01
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_network_for_grey_pictures_is_refused_in_one_line() -> None:
    grey = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(3600, 10))
    data = data_of(Tutorial())
    for refused in (
        lambda: evaluate(grey, data, [FGSM()], [THREAT]),
        lambda: craft(FGSM(), grey, data.images, data.labels, THREAT),
    ):
        with pytest.raises(ValueError, match=r"the model fails on images \(\d, 3, 32, 32\): .*channels") as caught:
            refused()
        assert "\n" not in str(caught.value)


def test_an_answer_without_logits_is_refused_with_what_it_holds() -> None:
    class Nameless(InADict):
        def forward(self, x: Tensor) -> object:
            return {"a": super().forward(x)["logits"], "b": None}

    with pytest.raises(ValueError, match=r"model must return logits \(N, K\).* got a dict of a, b"):
        predict(Nameless(), data_of(Tutorial()))


class Named(NamedTuple):
    hidden: Tensor
    logits: Tensor


@dataclass
class Answered:
    loss: Tensor | None
    logits: Tensor


@pytest.mark.parametrize("kind", [Named, Answered])
def test_logits_are_known_by_their_name_wherever_they_stand(kind: Callable[[Tensor, Tensor], object]) -> None:
    class Wrapped(Tutorial):
        def forward(self, x: Tensor) -> object:
            logits = super().forward(x)
            return kind(logits.roll(1, 1), logits)

    torch.manual_seed(0)
    model, plain = Wrapped().eval(), Tutorial().eval()
    plain.load_state_dict(model.state_dict())
    data = data_of(model)
    assert torch.equal(data.labels, plain(data.images).argmax(1))
    assert torch.equal(*(craft(FGSM(), each, data.images, data.labels, THREAT) for each in (model, plain)))


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (lambda logits: logits[:, 0], r"of one score a picture make two logits"),
        (lambda logits: logits[:, :1], r"of one score a picture make two logits"),
        (lambda logits: logits[:, :, None, None], r"\(flatten it: .flatten\(1\)\)"),
        (lambda _: object(), r"got object \(wrap it in an nn.Module that returns the logits alone\)$"),
        (lambda logits: logits.detach().numpy(), r"got ndarray \(wrap it in an nn.Module that returns .*alone\)$"),
    ],
)
def test_what_is_no_logits_is_refused_at_once_with_the_cure(end: Callable[[Tensor], object], says: str) -> None:
    class Ended(Tutorial):
        def forward(self, x: Tensor) -> object:
            return end(super().forward(x))

    data = data_of(Tutorial())
    for refused in (
        lambda: evaluate(Ended(), data, [FGSM()], [THREAT]),
        lambda: craft(FGSM(), Ended(), data.images, data.labels, THREAT),
    ):
        # Warnings are errors here: nothing is tried on what cannot be attacked.
        with pytest.raises(ValueError, match=f"model must return logits.*{says}"):
            refused()


class FailsLater(Tutorial):
    """Takes the pictures in any layout when asked for a few, but in one only when asked for many."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 10:
            x = x.view(len(x), -1).view(-1, 3, 32, 32)
        return self.head(self.maps(x).flatten(1))


def test_a_view_that_fails_in_the_middle_is_left_with_a_word() -> None:
    torch.manual_seed(0)
    model, images = FailsLater().eval(), pictures()
    labels = model(images).argmax(1)
    view = prepare(model, images, labels)
    assert isinstance(view, FastView)
    with pytest.warns(UserWarning, match="attacking the plain model, which is slower: view size is not compatible"):
        found = craft(FGSM(), view, images, labels, THREAT)
    # Told of once: warnings are errors here.
    again = craft(FGSM(), view, images, labels, THREAT)
    assert torch.equal(found, again)
    assert torch.equal(found, FGSM()(model, images, labels, THREAT))


def test_a_plain_view_shows_contiguous_images_and_gives_logits_of_their_precision() -> None:
    shown = []

    class Onlooker(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            shown.append(images.is_contiguous())
            return images.flatten(1)[:, :3].half()

    images = pictures().contiguous(memory_format=torch.channels_last)
    assert PlainView(Onlooker())(images).dtype == torch.float32
    assert shown == [True]


def test_an_exported_program_has_one_mode_only_and_what_is_beside_it_two() -> None:
    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.exported, self.drop = NETWORKS["exported"].make(), nn.Dropout()

    model = Beside()
    with evaluating(model):
        assert not model.drop.training
    assert model.drop.training
