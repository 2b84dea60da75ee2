"""A model as its user wrote it: shown the pictures as they came, whatever form its answer has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from robustcnn.core.runtime import first_line, halving, out_of_memory

NAMED = ("logits", "out", "output", "scores")
"""What models call their logits where they return several things by name."""


class View(nn.Module):
    """A way of ours to look at a model; `chunk` is how many images are best looked at together."""

    compiled = False
    """Whether torch's compiler has worked on it."""

    def __init__(self, *, chunk: int | None = None) -> None:
        super().__init__()
        self.chunk = chunk

    def parts(self, images: Tensor) -> tuple[Tensor, ...]:
        """The images, as many together as is best."""
        return (images,) if self.chunk is None or len(images) <= self.chunk else images.split(self.chunk)


class PlainView(View):
    """The model itself, shown copies that it may change, contiguous, and in its own precision if it insists on it.

    Logits come back in the precision of the images.
    """

    def __init__(self, model: nn.Module, *, chunk: int | None = None) -> None:
        super().__init__(chunk=chunk)
        self.model = model
        self.insists_on: torch.dtype | None = None

    def forward(self, images: Tensor) -> Tensor:
        def answered(size: int) -> Tensor:
            if size < len(images):
                self.chunk = size
            answers = [self._answer(part) for part in self.parts(images)]
            return answers[0] if len(answers) == 1 else torch.cat(answers)

        usual = min(self.chunk or len(images), len(images))
        # A gradient's graph would hold all parts at once: whoever asks for one has to take fewer images.
        return answered(usual) if torch.is_grad_enabled() else halving(answered, usual)

    def _answer(self, images: Tensor) -> Tensor:
        return logits_of(self._asked(images)).to(images.dtype)

    def _asked(self, images: Tensor) -> Any:
        if self.insists_on is None:
            try:
                return self.model(images.clone(memory_format=torch.contiguous_format))
            except RuntimeError:
                own = own_precision(self.model)
                if own in (None, images.dtype):
                    raise
            # Its weights are of another kind: that may have been all that was wrong.
            answer = self.model(images.to(own, copy=True).contiguous())
            self.insists_on = own
            return answer
        return self.model(images.to(self.insists_on, copy=True).contiguous())


def plain_view(model: nn.Module) -> View:
    """The model to be asked as it is; what is a view already stays one."""
    return model if isinstance(model, View) else PlainView(model)


def beneath(model: nn.Module) -> nn.Module:
    """The user's own model, under a plain view of it."""
    return model.model if isinstance(model, PlainView) else model


def check_takes(model: nn.Module, images: Tensor) -> None:
    """Refuse, in one line, a model that fails on these images by itself, or has no logits for them."""
    try:
        with torch.no_grad():
            logits = plain_view(model)(images)
    except NoLogits:
        raise
    except Exception as problem:
        if out_of_memory(problem):
            raise
        raise ValueError(
            f"the model fails on images {tuple(images.shape)}: {first_line(problem)} "
            "(does it expect other channels, or another size?)"
        ) from problem

    if logits.ndim != 2 or logits.shape[1] < 2 or len(logits) != len(images):
        raise NoLogits(
            f"model must return logits (N, K) with K >= 2, got {tuple(logits.shape)} for {len(images)} images"
            f"{cure(logits)}"
        )


class NoLogits(ValueError):
    """A model answers, but with something else."""


def cure(answer: Tensor) -> str:
    """How what a model returned may become logits (N, K), in brackets, where one can guess it."""
    shape = answer.shape
    if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1):
        return " (of one score a picture make two logits: torch.stack([0 * score, score], 1))"
    return " (flatten it: .flatten(1))" if len(shape) > 2 and set(shape[2:]) == {1} else ""


def logits_of(answer: Any) -> Tensor:
    """The scores (N, K) in what a model returned: a tensor, the first one of several, or the one called logits."""
    if isinstance(answer, Tensor):
        return answer
    for each in _candidates(answer):
        if isinstance(each, Tensor) and each.ndim == 2:
            return each
    raise NoLogits(
        f"model must return logits (N, K), or them first in a tuple or by the name of logits, got {_kind(answer)} "
        "(wrap it in an nn.Module that returns the logits alone)"
    )


def _candidates(answer: Any) -> Iterator[Any]:
    if isinstance(answer, Mapping):
        yield from (answer[name] for name in NAMED if name in answer)
        if len(answer) == 1:
            yield from answer.values()
    else:
        # A tuple may have names too.
        yield from (getattr(answer, name, None) for name in NAMED)
        yield from answer[:1] if isinstance(answer, tuple | list) else ()


def _kind(answer: Any) -> str:
    if isinstance(answer, Mapping):
        return f"a dict of {', '.join(map(str, answer))}"
    if isinstance(answer, tuple | list):
        return f"a {type(answer).__name__} of {', '.join(type(each).__name__ for each in answer) or 'nothing'}"
    return type(answer).__name__


def own_precision(model: nn.Module) -> torch.dtype | None:
    """That of its first weights, if it has any."""
    return next((each.dtype for each in model.parameters() if each.is_floating_point()), None)
