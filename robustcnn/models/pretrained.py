"""torchvision's ImageNet classifiers by name, as models that take pixels; their weights are data, never code."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robustcnn.core.runtime import global_seed
from robustcnn.core.spec import ImageSpec
from robustcnn.models.model_config import ModelConfig
from robustcnn.models.pixel import PixelModel
from robustcnn.models.weights_file import digest_in, read_weights

PREFIX = "torchvision:"
HALF = (0.5, 0.5, 0.5)
RESCALED = ("googlenet", "inception_v3")
"""Ported from a framework that feeds pixels in [-1, 1]: torchvision's `transform_input` only undoes its own mean."""
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
"""Heads that only training has a use for."""
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One set of weights that torchvision publishes for a network."""

    name: str
    url: str
    spec: ImageSpec
    resize: int
    """Shorter side, in pixels, to which a picture is brought before its middle is cut out."""

    @property
    def file(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def place(self) -> Path:
        """Where torchvision keeps it, whoever downloaded it."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.file


def is_published(name: str) -> bool:
    """Whether torchvision has ImageNet weights for a network of this name."""
    return name.removeprefix(PREFIX) in _names()


def published(name: str) -> tuple[Published, ...]:
    """All weights for the network that tell the thousand classes apart, torchvision's own choice first."""
    from torchvision import models

    name = _known(name)
    weights = models.get_model_weights(name)
    ordered = sorted(weights, key=lambda each: each is not weights.DEFAULT)
    return tuple(_published(name, each) for each in ordered if each.meta.get("categories"))


def pretrained(name: str, *, weights: Path | None = None, download: bool = False) -> PixelModel:
    """The network with the weights of a file, else of torchvision's cache, else (only when told so) of the web."""
    source, path = find_weights(name, weights=weights, download=download)
    with global_seed(0):
        net = network(source.name, classes=source.spec.num_classes)
    _fill(net, read_weights(path), f"{path} does not fit {source.name}")
    return PixelModel(net, source.spec, ModelConfig(name=PREFIX + source.name)).eval()


def find_weights(name: str, *, weights: Path | None = None, download: bool = False) -> tuple[Published, Path]:
    """Which of the published weights `pretrained` takes, and from which file."""
    sources = published(name)
    first = sources[0]
    if weights is not None:
        if not weights.is_file():
            raise FileNotFoundError(
                f"weights {weights}: there is no such file ({first.name} wants one as {first.file})"
            )
        return next((source for source in sources if source.file == weights.name), first), weights
    for source in sources:
        if source.place.is_file():
            return source, source.place
    if not download:
        raise FileNotFoundError(
            f"no weights for {first.name}: {first.file} is not in {first.place.parent} (TORCH_HOME moves that folder); "
            f"allow the download (--download), or bring {first.url} from another machine and name it (--weights FILE)"
        )
    _download(first)
    return first, first.place


def network(name: str, *, classes: int = 1000) -> nn.Module:
    """torchvision's network, fresh and without auxiliary heads; it takes normalised images."""
    from torchvision import models

    build: Callable[..., nn.Module] = models.get_model_builder(_known(name))
    options: dict[str, Any] = {"weights": None, "num_classes": classes}
    if _known(name) in RESCALED:
        options |= {"aux_logits": False, "transform_input": False, "init_weights": False}
    return build(**options)


def _names() -> list[str]:
    from torchvision import models

    names: list[str] = models.list_models(module=models)
    return names


def _known(name: str) -> str:
    plain = name.removeprefix(PREFIX)
    if not is_published(plain):
        close = get_close_matches(plain, _names(), n=3)
        meant = f" (did you mean {' or '.join(close)}?)" if close else ""
        raise ValueError(f"torchvision has no ImageNet classifier {plain!r}{meant}")
    return plain


def _published(name: str, weights: Any) -> Published:
    looks = weights.transforms()
    mean, std = (HALF, HALF) if name in RESCALED else (tuple(looks.mean), tuple(looks.std))
    size = looks.crop_size[0]
    classes = tuple(weights.meta["categories"])
    spec = ImageSpec(channels=3, height=size, width=size, classes=classes, mean=mean, std=std)
    return Published(name=name, url=weights.url, spec=spec, resize=looks.resize_size[0])


def _download(source: Published) -> None:
    source.place.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(source.url, str(source.place), digest_in(source.file))
    except (OSError, RuntimeError) as problem:
        raise ConnectionError(
            f"{source.url} could not be downloaded ({problem}); check the network, or bring the file from another "
            f"machine and name it (--weights FILE)"
        ) from None


def _fill(net: nn.Module, weights: dict[str, Tensor], problem: str) -> None:
    """Take over the weights, every one of them."""
    named = {OLD_DENSENET.sub(r"\1\2", name): value for name, value in weights.items()}
    given = {name: value for name, value in named.items() if not name.startswith(AUXILIARY)}
    wanted = net.state_dict()
    # Old files do not count batches; evaluation has no use for the count.
    missing = [name for name in wanted if name not in given and not name.endswith("num_batches_tracked")]
    extra = [name for name in given if name not in wanted]
    if missing or extra:
        raise ValueError(
            f"{problem}: it lacks {_some(missing)} and has {_some(extra)} besides (are these the weights of another "
            f"network?)"
        )
    for name, value in given.items():
        if value.shape != wanted[name].shape:
            raise ValueError(f"{problem}: {name} is {tuple(value.shape)}, must be {tuple(wanted[name].shape)}")
    net.load_state_dict(given, strict=False)


def _some(names: list[str]) -> str:
    return f"{len(names)} tensors ({', '.join(names[:2])} ...)" if len(names) > 2 else ", ".join(names) or "nothing"
