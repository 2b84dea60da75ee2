"""Any function from images to scores, or to labels, as a victim: remote services, scikit-learn models, ONNX files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustcnn.attacks.base import is_fooled
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.plain_view import PlainView, View, beneath

Answers = Literal["scores", "labels"]
SLACK = 1e-4
"""By how much of eps a picture may seem to leave the ball: originals are rounded to float32."""


class BlackBox(nn.Module):
    """A victim that can only be asked: `ask(images)` gives one number a class, as a tensor, an array or a list.

    One whose `answers` are labels gives one class an image instead, and has to be told how many `classes` there are.
    Only attacks without gradients apply: Square, noise and the spatial grid where there are scores, HopSkipJump and
    Boundary by way of foolbox in any case.
    """

    def __init__(
        self,
        ask: Callable[[Tensor], object],
        *,
        answers: Answers = "scores",
        classes: int | None = None,
        budget: int | None = None,
        batch_size: int | None = None,
    ) -> None:
        """`budget`: images that may be shown to it in all; `batch_size`: at once, all that come when not given."""
        super().__init__()
        if answers not in get_args(Answers):
            raise ValueError(f"answers must be one of {', '.join(get_args(Answers))}, got {answers!r}")
        for name, value in (("classes", classes), ("budget", budget), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.ask, self.answers, self.classes, self.budget, self.batch_size = ask, answers, classes, budget, batch_size
        self.asked = 0
        """Images that it was shown until now."""

    def forward(self, images: Tensor) -> Tensor:
        parts = images.detach().split(self.batch_size or max(len(images), 1))
        return torch.cat([self._answer(part) for part in parts])

    def _answer(self, images: Tensor) -> Tensor:
        if self.budget is not None and self.asked + len(images) > self.budget:
            raise ValueError(
                f"the budget of {self.budget:,} queries does not suffice: {self.asked:,} are spent and {len(images):,} "
                "more are wanted (raise it; what an evaluation has finished is kept, and it goes on from there)"
            )
        self.asked += len(images)
        given = torch.as_tensor(self.ask(images), device=images.device)
        return self._one_hot(given, len(images)) if self.answers == "labels" else given

    def _one_hot(self, labels: Tensor, count: int) -> Tensor:
        if self.classes is None:
            raise ValueError(
                "a black box that answers with labels has to be told how many classes there are (classes=)"
            )
        # Scores are told as their greatest, all that is asked for here.
        scored = labels.ndim == 2 and labels.shape[1] == self.classes > 1
        flat = (labels.argmax(1) if scored else labels.reshape(-1)).long()
        if len(flat) != count or (count and not 0 <= int(flat.min()) <= int(flat.max()) < self.classes):
            raise ValueError(
                f"the black box must answer with one label in 0..{self.classes - 1} for each of {count} images, "
                f"got {tuple(labels.shape)}" + (f" in {flat.min()}..{flat.max()}" if len(flat) else "")
            )
        return F.one_hot(flat, self.classes).float()


def black_box_in(model: nn.Module) -> BlackBox | None:
    """The black box that a model is, or wraps."""
    return next((module for module in beneath(model).modules() if isinstance(module, BlackBox)), None)


class Pool(NamedTuple):
    """Images whose classes have been asked for already: where searches may start."""

    images: Tensor
    predicted: Tensor


class BlackBoxView(PlainView):
    """A black box to search with; every question of a search is counted (see `QueryCounter`)."""

    def __init__(self, model: nn.Module, pool: Pool | None = None, *, chunk: int | None = None) -> None:
        super().__init__(model, chunk=chunk)
        self.pool = pool


class Success(Exception):
    """A search for one image has what it wanted."""

    def __init__(self, image: Tensor) -> None:
        super().__init__("found")
        self.image = image


class QueryCounter(View):
    """Passes questions on, and counts for each of the `images` how many were asked before it was broken.

    A question belongs to the image that it is nearest to. With `stop`, for one image, its success ends the search.
    """

    def __init__(
        self, view: BlackBoxView, images: Tensor, labels: Tensor, threat: ThreatModel, *, stop: bool = False
    ) -> None:
        super().__init__(chunk=view.chunk)
        self.view, self.pool = view, view.pool
        self.images, self.labels, self.threat, self.stop = images, labels, threat, stop
        self.asked = torch.zeros_like(labels)
        self.broken_after = torch.full_like(labels, -1)
        """Questions up to and with the one that broke the image; -1 while none has."""

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.view(images)
        owners = self._owners(images)
        mine = F.one_hot(owners, len(self.images))
        number = self.asked[owners] + mine.cumsum(0).gather(1, owners[:, None]).squeeze(1)
        inside = self.threat.distance(images, self.images[owners]) <= self.threat.eps * (1 + SLACK)
        for row in (inside & is_fooled(logits, self.labels[owners])).nonzero().flatten().tolist():
            if self.broken_after[owners[row]] < 0:
                self.broken_after[owners[row]] = number[row]
                if self.stop:
                    raise Success(images[row : row + 1])
        self.asked += mine.sum(0)
        return logits

    def _owners(self, images: Tensor) -> Tensor:
        if len(self.images) == 1:
            return torch.zeros(len(images), dtype=torch.int64, device=images.device)
        return torch.cdist(images.flatten(1).float(), self.images.flatten(1).float()).argmin(1)
