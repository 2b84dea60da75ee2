"""The model that looks at somebody's pictures: by name, with its classes, its picture size and its input range."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch
from torch import Tensor, nn

from robustcnn.core.runtime import to_evaluation
from robustcnn.core.spec import ImageSpec
from robustcnn.data.sets.picture import Framing, framed, read_picture, to_tensor
from robustcnn.models import checkpoint
from robustcnn.models.checkpoint import Which
from robustcnn.models.pretrained import PREFIX, find_weights, is_published, pretrained, published
from robustcnn.runs.find_model import find

USUAL_SIZE = 224


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Subject:
    """A model, and how to show it a picture."""

    name: str
    model: nn.Module
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    spec: ImageSpec | None
    """None where the model does not tell how it normalises."""
    rim: float = 0.0
    """Share of each side that is cut off before the middle is taken."""

    def look_at(self, path: Path, *, framing: Framing) -> Tensor:
        """The picture of a file as pixels (1, C, H, W) in [0, 1], as the model was trained to see pictures."""
        channels, height, width = self.shape
        picture = read_picture(path, around=max(height, width))
        return to_tensor(framed(picture, (width, height), framing, rim=self.rim), channels=channels)

    @property
    def range(self) -> str:
        """What the model's own input range is."""
        if self.spec is None:
            return "unknown"
        pairs = list(zip(self.spec.mean, self.spec.std, strict=True))
        low, high = min(-mean / std for mean, std in pairs), max((1 - mean) / std for mean, std in pairs)
        return f"[{low:.3g}, {high:.3g}]"


def subject(
    name: str,
    *,
    weights: Path | None,
    download: bool,
    runs: Path,
    which: Which,
    size: int | None,
) -> Subject:
    """A torchvision classifier by name, or whatever `robustcnn evaluate` takes."""
    if name.startswith(PREFIX) or (is_published(name) and not (runs / name / checkpoint.PAGE).is_file()):
        return _published(name, weights, download=download)
    if weights is not None:
        raise ValueError(f"weights belong to a torchvision classifier, {name!r} is none{_meant(name)}")
    try:
        model = to_evaluation(find(name, runs, which=which).model)
    except FileNotFoundError as problem:
        raise FileNotFoundError(f"{problem}; nor has torchvision a classifier of that name{_meant(name)}") from None
    spec = getattr(model, "spec", None)
    return of_spec(name, model, spec) if isinstance(spec, ImageSpec) else _unknown(name, model, size or USUAL_SIZE)


def of_spec(name: str, model: nn.Module, spec: ImageSpec) -> Subject:
    """A model that knows about its pictures."""
    return Subject(name=name, model=model, classes=spec.classes, shape=spec.shape, spec=spec)


def class_index(text: str, classes: tuple[str, ...], *, option: str) -> int:
    """Which class is meant by a name, by a part of a name that no other has, or by an index."""
    if text.isdecimal():
        if int(text) >= len(classes):
            raise ValueError(f"--{option} {text}: the model's classes are 0..{len(classes) - 1}")
        return int(text)
    wanted = text.lower()
    same = [index for index, name in enumerate(classes) if name.lower() == wanted]
    found = same or [index for index, name in enumerate(classes) if wanted in name.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{classes[index]} ({index})" for index in found[:6])
        raise ValueError(f"--{option} {text}: several classes are called so: {several}; give a whole name or an index")
    close = get_close_matches(wanted, [name.lower() for name in classes], n=3)
    meant = f" (did you mean {' or '.join(close)}?)" if close else ""
    raise ValueError(f"--{option} {text}: the model has no class of that name{meant}")


def _meant(name: str) -> str:
    """What torchvision says to the name."""
    try:
        published(name)
    except ValueError as problem:
        _, bracket, hint = str(problem).partition(" (")
        return bracket + hint
    return ""


def _published(name: str, weights: Path | None, *, download: bool) -> Subject:
    source, path = find_weights(name, weights=weights, download=download)
    model = pretrained(name, weights=path)
    rim = (1 - source.spec.height / source.resize) / 2
    plain = of_spec(source.name, model, source.spec)
    return Subject(name=plain.name, model=model, classes=plain.classes, shape=plain.shape, spec=source.spec, rim=rim)


@torch.no_grad()
def _unknown(name: str, model: nn.Module, size: int) -> Subject:
    """Somebody's own model: three channels, and as many classes as it answers with."""
    device = next(model.parameters(), torch.empty(0)).device
    try:
        logits = model(torch.full((1, 3, size, size), 0.5, device=device))
    except (RuntimeError, ValueError) as problem:
        raise ValueError(
            f"{name} does not take pictures of 3 x {size} x {size} ({problem}); --size says how large"
        ) from None
    classes = tuple(f"class {index}" for index in range(logits.shape[1]))
    return Subject(name=name, model=model, classes=classes, shape=(3, size, size), spec=None)
