"""Training that starts from weights learnt elsewhere: another run, a DCGAN's discriminator, ImageNet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from robustcnn.core.folders import RUNS
from robustcnn.core.plain_data import did_you_mean
from robustcnn.core.runtime import global_seed
from robustcnn.core.spec import ImageSpec
from robustcnn.models import ModelConfig, PixelModel, build, checkpoint
from robustcnn.models.dcgan import classifier_from
from robustcnn.models.pretrained import PREFIX, find_weights, pretrained
from robustcnn.train.freezing import head_of
from robustcnn.train.gan import checkpoint as gan_checkpoint


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Source:
    """A trained model that another one starts from."""

    name: str
    path: Path
    """The folder of the run, or the file of the weights."""
    sha256: str
    """Of the file that holds the weights."""
    model: PixelModel
    classifies: bool = True
    """Whether its last layer tells classes apart; a discriminator's does not."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Started:
    """A model that is ready to be trained further."""

    model: PixelModel
    kept_head: bool
    why: str
    """Why the last layer was kept or not."""


def read_source(text: str, runs: Path = RUNS, *, weights: Path | None = None, download: bool = False) -> Source:
    """A run by its name, a folder with a checkpoint or a pre-training, or torchvision:NAME."""
    if text.startswith(PREFIX):
        published, path = find_weights(text, weights=weights, download=download)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Source(name=PREFIX + published.name, path=path, sha256=digest, model=pretrained(text, weights=path))
    if weights is not None:
        raise ValueError(f"weights is the file for init_from {PREFIX}NAME; {text} has its own (leave weights out)")
    for folder in (Path(text), runs / text):
        if (folder / checkpoint.PAGE).is_file():
            digest = checkpoint.read_page(folder).best.sha256
            return Source(name=_name(folder), path=folder, sha256=digest, model=checkpoint.load(folder))
        if (folder / gan_checkpoint.PAGE).is_file():
            return _discriminator(folder)
    pages = (checkpoint.PAGE, gan_checkpoint.PAGE)
    known = sorted({path.parent.name for page in pages for path in runs.glob(f"*/{page}")})
    hint = did_you_mean(text, known) if known else "; no run has been trained there yet"
    raise FileNotFoundError(f"init_from {text!r}: neither a run in {runs}, a checkpoint folder nor {PREFIX}NAME{hint}")


def start(source: Source, config: ModelConfig, spec: ImageSpec) -> Started:
    """The network of `config` for the classes of `spec`, with the weights of `source`.

    Its last layer is fresh, from torch's global generator, unless the class names agree. Pixels are normalised as the
    source has learnt to see them.
    """
    theirs = source.model.spec
    if theirs.channels == spec.channels:
        spec = replace(spec, mean=theirs.mean, std=theirs.std)
    model = build(config, spec)
    mine, given = model.state_dict(), source.model.state_dict()
    head = _under(head_of(model), mine)
    trunk = {name: tensor for name, tensor in given.items() if name not in _under(head_of(source.model), given)}
    _check_fits(source, model, trunk, {name: mine[name] for name in mine if name not in head})
    why = _against_head(source, spec, {name: mine[name].shape for name in head}, given)
    model.load_state_dict(mine | trunk | ({} if why else {name: given[name] for name in head}))
    return Started(model=model, kept_head=not why, why=why or "the classes are the same")


def _discriminator(folder: Path) -> Source:
    trained, page = gan_checkpoint.load_discriminator(folder), gan_checkpoint.read_page(folder)
    # Its head's numbers are not used; drawing them shall not shift those of others.
    with global_seed(0):
        model = classifier_from(trained, trained.spec)
    return Source(
        name=_name(folder), path=folder, sha256=page.discriminator.sha256, model=model.eval(), classifies=False
    )


def _name(folder: Path) -> str:
    return folder.resolve().name


def _under(layer: str, tensors: dict[str, Tensor]) -> set[str]:
    return {name for name in tensors if name.rpartition(".")[0] == layer}


def _against_head(source: Source, spec: ImageSpec, shapes: dict[str, object], given: dict[str, Tensor]) -> str:
    """Why the source's last layer cannot be taken over; empty when it can."""
    if not source.classifies:
        return "a discriminator's tells real from generated"
    if source.model.spec.classes != spec.classes:
        return f"the classes are others: {_some(source.model.spec.classes)}, now {_some(spec.classes)}"
    fits = shapes == {name: given[name].shape for name in shapes if name in given}
    return "" if fits else "it is of another shape"


def _some(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:3]) + (f" ... ({len(classes)})" if len(classes) > 3 else "")


def _check_fits(source: Source, model: PixelModel, given: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    ours, theirs = model.spec, source.model.spec
    for name in [*wanted, *given]:
        has, wants = (str(tuple(each[name].shape)) if name in each else "none" for each in (given, wanted))
        layer, _, what = name.rpartition(".")
        # Mean and deviation of the pixels belong to no layer; they follow from the spec.
        if layer and has != wants:
            raise ValueError(
                f"init_from {source.name} does not fit at layer {layer.removeprefix('net.')}: its {what} is {has}, the "
                f"model wants {wants} ({_cure(source.model.config, model.config, theirs, ours)})"
            )


def _cure(theirs: ModelConfig, ours: ModelConfig, seen: ImageSpec, now: ImageSpec) -> str:
    if seen.channels != now.channels:
        return (
            "it saw grey pictures: pass --data.grey" if seen.channels == 1 else "it saw colour pictures, these are grey"
        )
    if _shaping(theirs) != _shaping(ours):
        return f"it is a {_options(theirs)}, the model a {_options(ours)}: leave out --model options"
    if seen.shape != now.shape:
        size = f"pass --data.size {seen.height}" if seen.height == seen.width else "give the data its size"
        return f"it saw {seen.height}x{seen.width} pixels, these are {now.height}x{now.width}: {size}"
    return "train it anew"


def _shaping(config: ModelConfig) -> ModelConfig:
    return replace(config, dropout=None, activation=None)


def _options(config: ModelConfig) -> str:
    return " ".join([config.name, *(f"{key} {value}" for key, value in config.given.items())])


def go_on(model: PixelModel, before: PixelModel) -> None:
    """Take over all the weights of a model of the same build and pictures."""
    if (model.config, model.spec.shape) != (before.config, before.spec.shape):
        told = [f"{each.config.name} {each.config.given} for pictures of {each.spec.shape}" for each in (before, model)]
        raise ValueError(
            f"warm_start=True goes on with the network of the last fit, {told[0]}, got {told[1]} (fit a fresh "
            "classifier)"
        )
    model.load_state_dict(before.state_dict())
