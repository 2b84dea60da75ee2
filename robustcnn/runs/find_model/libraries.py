"""Networks that other libraries build: torchvision, timm, RobustBench."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from robustcnn.core.runtime import first_line, global_seed
from robustcnn.models.normalised import Normalised
from robustcnn.models.pretrained import network, pretrained
from robustcnn.models.weights_file import read_weights
from robustcnn.runs.find_model.victim import SourceConfig


def torchvision_model(name: str, options: SourceConfig) -> nn.Module:
    """NAME: the published weights, normalisation inside; NAME:FILE: a state dict of yours, taken as it is."""
    name, _, file = name.partition(":")
    if not file:
        model = pretrained(name, download=options.download)
        # Told otherwise, the user knows better than the page.
        return model.net if options.mean else model
    weights = read_weights(_existing(file))
    return _filled(lambda classes: network(name, classes=classes), weights, file, name)


def timm_model(name: str, options: SourceConfig) -> nn.Module:
    """NAME: timm's weights, normalised as they were trained; NAME:FILE: a state dict of yours, taken as it is."""
    timm = _library("timm", "pip install 'robustcnn[timm]'")
    name, _, file = name.partition(":")
    if not timm.is_model(name):
        close = timm.list_models(f"*{name}*")[:3]
        raise ValueError(f"timm has no model {name!r}" + (f" (did you mean {' or '.join(close)}?)" if close else ""))
    if file:
        weights = read_weights(_existing(file))
        return _filled(lambda classes: timm.create_model(name, num_classes=classes), weights, file, name)
    try:
        with _offline(not options.download):
            net = timm.create_model(name, pretrained=True)
    except Exception as problem:  # of any kind: hubs fail in many ways
        raise FileNotFoundError(
            f"no weights for timm:{name}: {first_line(problem)} (allow the download with --download, or name a file of "
            f"them: timm:{name}:FILE)"
        ) from None
    if options.mean:
        return net  # type: ignore[no-any-return]
    return Normalised(net, net.default_cfg["mean"], net.default_cfg["std"])


def robustbench_model(name: str, options: SourceConfig) -> nn.Module:
    """NAME[:DATASET[:THREAT]], by default of cifar10 and Linf; these take pixels in [0, 1]."""
    library = _library("robustbench", "install it from its repository, with its weights in ./models")
    name, data, threat = [*name.split(":"), "", ""][:3]
    place = Path("models") / (data or "cifar10") / (threat or "Linf") / f"{name}.pt"
    if not options.download and not place.is_file():
        raise FileNotFoundError(f"no weights for robustbench:{name}: {place} is absent (--download fetches them)")
    model: nn.Module = library.utils.load_model(name, dataset=data or "cifar10", threat_model=threat or "Linf")
    return model


def _library(name: str, cure: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as problem:
        raise ValueError(f"{name} models need the package {name}, which is not installed: {problem} ({cure})") from None


@contextmanager
def _offline(wanted: bool) -> Iterator[None]:
    """Hubs look into their caches only."""
    before = os.environ.get("HF_HUB_OFFLINE")
    if wanted:
        os.environ["HF_HUB_OFFLINE"] = "1"
    constants: Any = import_module("huggingface_hub.constants") if wanted else None
    told = getattr(constants, "HF_HUB_OFFLINE", None)
    if told is not None:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        if told is not None:
            constants.HF_HUB_OFFLINE = told
        if wanted:
            os.environ.pop("HF_HUB_OFFLINE") if before is None else os.environ.update(HF_HUB_OFFLINE=before)


def _existing(file: str) -> Path:
    path = Path(file).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file of weights")
    return path


def _filled(make: Callable[[int], nn.Module], weights: dict[str, Tensor], file: str, name: str) -> nn.Module:
    """The network for as many classes as the file's last layer has."""
    with global_seed(0):
        net = make(1000)
        last = list(dict(net.named_parameters()))[-1]
        if last in weights and len(weights[last]) != 1000:
            net = make(len(weights[last]))
    try:
        net.load_state_dict(weights)
    except RuntimeError as problem:
        lines = [line.strip() for line in str(problem).splitlines()]
        raise ValueError(f"{file} does not fit {name}: {' '.join(lines[1:3])[:200]} (are these its weights?)") from None
    return net
