"""Pictures before and after an attack, with what the model says of them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from robustcnn.core.atomic_files import write_atomically
from robustcnn.core.roomy import rest, slices
from robustcnn.data.resident import ResidentDataset, as_pixels
from robustcnn.evaluate import predict

LOOKED = 64
"""Examples at a time in which those that were turned are looked for: the first few are mostly enough."""
Answer = tuple[str, float]
"""The predicted class and its probability."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Gallery:
    """Some examples, each clean and attacked."""

    clean: Tensor
    """Pixels (N, C, H, W) in [0, 1], on the CPU."""
    adversarial: Tensor
    truth: tuple[str, ...]
    """The true class of each."""
    before: tuple[Answer, ...]
    after: tuple[Answer, ...]
    threat: str
    """What was allowed, such as `linf 8/255`."""

    def __post_init__(self) -> None:
        if self.clean.ndim != 4 or self.clean.shape[1] not in (1, 3):
            raise ValueError(f"clean must be images (N, 1 or 3, H, W), got {tuple(self.clean.shape)}")
        if self.adversarial.shape != self.clean.shape:
            raise ValueError(
                f"adversarial must have the shape of clean, {tuple(self.clean.shape)}, "
                f"got {tuple(self.adversarial.shape)}"
            )
        if not len(self.truth) == len(self.before) == len(self.after) == len(self.clean):
            raise ValueError(
                f"truth, before and after need one entry an image ({len(self.clean)}), "
                f"got {len(self.truth)}, {len(self.before)} and {len(self.after)}"
            )

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def amplification(self) -> float:
        """A round factor by which the changes are shown, so that the largest nearly spans the grey scale."""
        largest = (self.adversarial - self.clean).abs().max().item() if len(self) else 0.0
        if not largest:
            return 1.0
        most = 0.5 / largest
        decade = 10.0 ** math.floor(math.log10(most))
        return max(step * decade for step in (1, 2, 5) if step * decade <= most * (1 + 1e-6))


def gallery_of(model: nn.Module, data: ResidentDataset, adversarial: Tensor, *, threat: str, count: int = 6) -> Gallery:
    """The first `count` examples that the attack turned from right to wrong; others only when there are too few."""
    turned, others = list[int](), list[int]()
    for rows in slices(len(data), LOOKED):
        before, after = _said(model, data, adversarial, range(len(data))[rows])
        labels = data.labels[rows].cpu()
        fooled = (before.argmax(1) == labels) & (after.argmax(1) != labels)
        turned += (fooled.nonzero().flatten() + rows.start).tolist()
        others += ((~fooled).nonzero().flatten() + rows.start).tolist() if len(others) < count else []
        rest(adversarial)
        if len(turned) >= count:
            break
    chosen = [*turned, *others][:count]
    before, after = _said(model, data, adversarial, chosen)
    return Gallery(
        clean=as_pixels(data.images[chosen]).cpu(),
        adversarial=adversarial[chosen].cpu(),
        truth=tuple(data.classes[label] for label in data.labels[chosen].tolist()),
        before=_answers(before, data.classes),
        after=_answers(after, data.classes),
        threat=threat,
    )


def _said(model: nn.Module, data: ResidentDataset, adversarial: Tensor, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Probabilities, on the CPU, before and after the attack."""
    some = data.subset(torch.tensor(rows))
    # Not the stored bytes: what is attacked is the float picture.
    pictures = as_pixels(some.images), adversarial[torch.tensor(rows, device=adversarial.device)].to(data.device)
    before, after = (predict(model, replace(some, images=each)).softmax(1).cpu() for each in pictures)
    return before, after


def _answers(probabilities: Tensor, classes: tuple[str, ...]) -> tuple[Answer, ...]:
    best, index = torch.max(probabilities, 1)
    return tuple((classes[i], p) for i, p in zip(index.tolist(), best.tolist(), strict=True))


def write_gallery(path: Path, gallery: Gallery) -> None:
    """Keep it as a safetensors file: pixels, and the words in its head."""
    pixels = {"clean": gallery.clean.contiguous(), "adversarial": gallery.adversarial.contiguous()}
    words = {name: json.dumps(getattr(gallery, name)) for name in _WORDS}
    write_atomically(path, safetensors.torch.save(pixels, metadata=words))


def read_gallery(path: Path) -> Gallery:
    """What `write_gallery` kept."""
    try:
        return _read(path)
    except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as problem:
        told = " ".join(str(problem).split())[:300]
        raise ValueError(f"{path} holds no pictures of an evaluation: {told} (evaluate the run again)") from None


def _read(path: Path) -> Gallery:
    with safetensors.safe_open(path, framework="pt") as file:
        words = {name: json.loads(file.metadata()[name]) for name in _WORDS}
        return Gallery(
            clean=file.get_tensor("clean"),
            adversarial=file.get_tensor("adversarial"),
            truth=tuple(words["truth"]),
            before=tuple(map(tuple, words["before"])),
            after=tuple(map(tuple, words["after"])),
            threat=words["threat"],
        )


_WORDS = ("truth", "before", "after", "threat")
