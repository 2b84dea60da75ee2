"""Where a run's first weights come from: chance, or a model that was trained before (--init-from)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from robustcnn.core.spec import ImageSpec
from robustcnn.models import ModelConfig, PixelModel, build
from robustcnn.runs.train_config import TrainConfig
from robustcnn.tracking import fetch_checkpoint, read_place
from robustcnn.train.freezing import frozen_layers, weighted
from robustcnn.train.warm_start import Source, read_source, start

INIT_FROM = "init_from"
"""In a run's record, and before the dot in its tags."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Beginning:
    """A model before its first step."""

    model: PixelModel
    record: dict[str, str] = field(default_factory=dict)
    """Where its weights come from, in words; empty for fresh ones."""
    line: str = ""
    """The same for the user, after a line's end."""


def sources_model(config: TrainConfig) -> ModelConfig:
    """The architecture of the model that the run starts from."""
    return _source(config).model.config


def begin(config: TrainConfig, spec: ImageSpec) -> Beginning:
    """The model of `config`; fresh weights are drawn from torch's global generator."""
    if not config.init_from:
        if config.weights is not None:
            raise ValueError(f"weights {config.weights}: needs --init-from torchvision:NAME")
        model = build(config.model, spec)
        # A freeze that this model cannot obey shall not leave a run behind.
        frozen_layers(model, config.fit.freeze)
        return Beginning(model=model)
    source = _source(config)
    started = start(source, config.model, spec)
    head = f"{'kept' if started.kept_head else 'new'}: {started.why}"
    frozen = _plain(frozen_layers(started.model, config.fit.freeze))
    stopped = [name for name in _plain(weighted(started.model)) if name in frozen]
    place = read_place(source.path) if source.path.is_dir() else None
    record = {
        "run": source.name,
        "run_id": place.run_id if place else "",
        "path": str(source.path.resolve()),
        "sha256": source.sha256,
        "head": head,
        "freeze": config.fit.freeze,
        "frozen": ", ".join(frozen),
    }
    layers = f"{len(stopped)} of {len(weighted(started.model))} layers before it frozen"
    line = f"\nstarts from {source.name} (sha256 {source.sha256[:12]}); last layer {head}; {layers}"
    return Beginning(model=started.model, record=record, line=line)


def _source(config: TrainConfig) -> Source:
    text = config.init_from
    if text.startswith(("runs:/", "models:/")):
        text = str(fetch_checkpoint(text, config.runs))
    return read_source(text, config.runs, weights=config.weights, download=config.download)


def _plain(names: Iterable[str]) -> list[str]:
    return [name.removeprefix("net.") for name in names]
