"""A model with a name, and the options of models that come from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import nn

from robustcnn.runs.train_config import TrainConfig

Answers = Literal["scores", "labels"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Victim:
    """A model, and what is known of where it comes from."""

    name: str
    model: nn.Module
    folder: Path
    """Where its evaluations are kept, and what they are tracked under."""
    trained: TrainConfig | None = None
    """How it was trained, if it is one of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceConfig:
    """What there is to say of a model that comes from elsewhere."""

    mean: tuple[float, ...] = ()
    """Per channel, or one for all, of a model that expects normalised pictures: 0.485 0.456 0.406; needs std too."""
    std: tuple[float, ...] = ()
    """Per channel, as mean."""
    download: bool = False
    """torchvision:, timm: and robustbench: fetch weights that are not in their cache."""
    answers: Answers = "scores"
    """onnx: and http: what the black box tells: a score for each class, or the label only."""
    layout: Literal["auto", "channels-first", "channels-last"] = "auto"
    """onnx: and http: the order in which pictures are handed over; auto is as an onnx file says, else first."""
    format: Literal["json", "npy"] = "json"
    """http: how pictures are sent."""
    request_size: int = 32
    """http: pictures in one request, at most."""
    rate: float | None = None
    """http: requests a second, at most."""
    retries: int = 4
    """http: how often a request that failed is sent again, after 0.5, 1, 2, ... seconds."""
    timeout: float = 30.0
    """http: seconds after which a request has failed."""
    queries: int | None = None
    """onnx: and http: pictures that may be shown in all; an evaluation that needs more stops, and can go on later."""

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"mean and std belong together, one value a channel each, got {len(self.mean)} and {len(self.std)}"
            )
        if self.std and min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {min(self.std):g}")
        for option, least in (("request_size", 1), ("retries", 0), ("queries", 1)):
            value = getattr(self, option)
            if value is not None and value < least:
                raise ValueError(f"{option} must be at least {least}, got {value}")
        for option in ("rate", "timeout"):
            value = getattr(self, option)
            if value is not None and not value > 0:
                raise ValueError(f"{option} must be positive, got {value:g}")
