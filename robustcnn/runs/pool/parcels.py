"""What travels to workers: models, data and the rest of a job as bytes, each known by its digest."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cloudpickle
import torch
from torch import Tensor, nn

from robustcnn.core.runtime import DeviceName
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.pieces import BatchSize
from robustcnn.evaluate.plan import Plan, fingerprint
from robustcnn.fast.plain_view import beneath
from robustcnn.models.checkpoint import Which
from robustcnn.runs.find_model import SourceConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How a model is had that cannot travel itself: on a worker that sees the same files."""

    text: str
    runs: Path
    which: Which
    source: SourceConfig
    place: Path
    """The working folder that relative names begin at."""
    print: str = ""
    """Of the weights that have to come of it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rest:
    """Of a job, what is small."""

    plan: Plan
    clean: Tensor | None
    """The clean answers, of a black box: nobody is to ask for them again."""
    batch_size: BatchSize
    device: DeviceName
    threads: int
    version: str
    compiled: bool = False


@dataclass(frozen=True, slots=True)
class Parcel:
    """Bytes under a name that says what is in them."""

    name: str
    content: bytes


def parcel(what: str, value: Any) -> Parcel:
    """Classes and functions of the user's own travel with it: a worker need not have their files."""
    with _by_value():
        content = cloudpickle.dumps(value)
    return Parcel(f"{what}-{hashlib.sha256(content).hexdigest()[:24]}", content)


def model_parcel(model: nn.Module, recipe: Recipe) -> Parcel:
    """The model itself, or its recipe where it cannot be written down."""
    model, device = beneath(model), next((each.device for each in model.parameters()), torch.device("cpu"))
    try:
        return parcel("model", model.to("cpu"))
    except (TypeError, AttributeError, RuntimeError, ValueError, pickle.PicklingError, NotImplementedError):
        return parcel("recipe", replace(recipe, print=fingerprint(model)))
    finally:
        model.to(device)


def data_parcel(data: ResidentDataset) -> Parcel:
    """The examples."""
    return parcel("data", data.to("cpu"))


@contextlib.contextmanager
def _by_value() -> Iterator[None]:
    """Inside the block modules that are installed nowhere are written down with what is in them."""
    own = [module for name, module in list(sys.modules.items()) if _is_users(name, getattr(module, "__file__", None))]
    registered = []
    for module in own:
        with contextlib.suppress(ValueError):
            cloudpickle.register_pickle_by_value(module)
            registered.append(module)
    try:
        yield
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)


@cache
def _is_users(name: str, file: object) -> bool:
    """Whether a module's file lies outside of all that is installed."""
    if not isinstance(file, str) or name.partition(".")[0] in ("robustcnn", "__main__", "__mp_main__"):
        return False
    return Path(file).is_absolute() and not any(Path(file).is_relative_to(folder) for folder in _installed())


@cache
def _installed() -> frozenset[str]:
    paths = sysconfig.get_paths()
    return frozenset((*(paths[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")), sys.base_prefix))
