"""Every data set by name, and `load`, which brings any of them into the same form."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from robustcnn.core.plain_data import shown
from robustcnn.core.runtime import seeded
from robustcnn.data.data_config import MORE, NAMES, kind_of
from robustcnn.data.data_config import DataConfig as DataConfig
from robustcnn.data.resident import ResidentDataset, spec_of
from robustcnn.data.sets.cifar import read_cifar10
from robustcnn.data.sets.digits import read_digits
from robustcnn.data.sets.download import download
from robustcnn.data.sets.drawn_faces import read_faces
from robustcnn.data.sets.elsewhere import read_function, read_hf, read_torchvision
from robustcnn.data.sets.fer2013 import CURE as FER2013_CURE
from robustcnn.data.sets.fer2013 import read_fer2013
from robustcnn.data.sets.folder import read_folder
from robustcnn.data.sets.idx import read_idx_set
from robustcnn.data.sets.npz import read_npz
from robustcnn.data.sets.places import data_root, download_command, find
from robustcnn.data.signs.road_signs import load_signs
from robustcnn.data.views import in_grey, only_classes, resized

Reader = Callable[[DataConfig, Path], tuple[ResidentDataset, ...]]


class Splits(NamedTuple):
    """Three parts of one data set, all with the spec of the first."""

    train: ResidentDataset
    validation: ResidentDataset
    test: ResidentDataset

    def to(self, device: torch.device | str) -> Splits:
        return Splits(*(part.to(device) for part in self))


class Available(NamedTuple):
    """A line of the list of data sets."""

    name: str
    description: str
    present: bool
    hint: str
    """How to get it."""


def load(name: str | DataConfig = "digits", **options: Any) -> Splits:
    """Training, validation and test part of a data set; the options are the fields of `DataConfig`."""
    config = replace(name, **options) if isinstance(name, DataConfig) else DataConfig(name=name, **options)
    parts = [_shaped(part, config) for part in _read(config)]
    generator = seeded(config.seed)
    if len(parts) == 2:
        parts[:1] = _held_out(parts[0], config, generator)
    if config.limit is not None:
        parts[0] = parts[0].sample(min(config.limit, len(parts[0])), generator=generator)
    spec = spec_of(parts[0].images, parts[0].classes)
    parts = [
        replace(part, spec=spec, name=f"{config.name}/{of}") for part, of in zip(parts, Splits._fields, strict=True)
    ]
    return Splits(*parts)


def register(name: str, *, about: str = "") -> Callable[[Reader], Reader]:
    """Make a data set of your own known by a name; what is decorated returns its (training[, validation], test) parts,
    given the DataConfig and the data root."""
    if not re.fullmatch(r"[\w.-]+", name) or name in NAMES:
        raise ValueError(f"name must be new, of letters, digits, dots, dashes and underscores, got {shown(name)}")

    def remember(read: Reader) -> Reader:
        SOURCES[name] = Source(about=about or "registered by a plug-in", read=read)
        if name not in MORE:
            MORE.append(name)
        return read

    return remember


def available(root: Path | None = None) -> list[Available]:
    """All data sets by name, which of them are in the root, and how to get the others."""
    where = data_root(root)
    listed = [
        Available(name, source.about, source.present(where), source.hint(name, where))
        for name, source in SOURCES.items()
    ]
    claimed = {place for source in SOURCES.values() for place in source.places}
    own = sorted(path.name for path in where.glob("*.npz") if path.name not in claimed)
    return listed + [Available(f"npz:{name}", "found in the data root", True, "") for name in own]


def _read(config: DataConfig) -> tuple[ResidentDataset, ...]:
    source, root = SOURCES[kind_of(config.name)], data_root(config.root)
    try:
        return source.read(config, root)
    except FileNotFoundError:
        if not (config.download and source.downloads):
            raise
        download(config.name, root)
        return source.read(config, root)


def _shaped(part: ResidentDataset, config: DataConfig) -> ResidentDataset:
    if config.classes:
        part = only_classes(part, config.classes)
    if config.grey:
        part = in_grey(part)
    return part if config.size is None else resized(part, config.size)


def _held_out(
    data: ResidentDataset, config: DataConfig, generator: torch.Generator
) -> tuple[ResidentDataset, ResidentDataset]:
    train, validation = data.split(config.validation, generator=generator)
    if not len(train) or not len(validation):
        raise ValueError(
            f"validation={config.validation:g} of the {len(data)} examples of {config.name} leaves {len(train)} to "
            f"train and {len(validation)} to validate; both need some"
        )
    return train, validation


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One entry of the registry."""

    about: str
    read: Callable[[DataConfig, Path], tuple[ResidentDataset, ...]]
    places: tuple[str, ...] = ()
    """Files below the root, any of which says that the set is there; none for what needs no root."""
    cure: str = ""
    downloads: bool = False

    def present(self, root: Path) -> bool:
        return not self.places or any((root / place).exists() for place in self.places)

    def hint(self, name: str, root: Path) -> str:
        return download_command(name, root) if self.downloads else self.cure


def _path(config: DataConfig, root: Path) -> Path:
    return find(Path(config.name.partition(":")[2]), root)


SOURCES = {
    "digits": Source(
        about="1,797 handwritten digits, 32x32 grey, embedded",
        read=lambda config, _: read_digits(size=config.size or 32),
    ),
    "signs": Source(
        about="12 road signs, drawn: any number, 32x32 colour, embedded",
        read=lambda config, root: load_signs(
            root, size=config.size or 32, train=config.drawn, test=config.drawn // 5, seed=config.seed
        ),
    ),
    "faces": Source(
        about="drawn faces in 7 moods: any number, 48x48 grey, embedded",
        read=lambda config, _: read_faces(
            size=config.size or 48, train=config.drawn, test=config.drawn // 5, seed=config.seed
        ),
    ),
    "mnist": Source(
        about="70,000 handwritten digits, 28x28 grey",
        read=lambda _, root: read_idx_set("mnist", root),
        places=("MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/train-images-idx3-ubyte.gz"),
        downloads=True,
    ),
    "fashion-mnist": Source(
        about="70,000 pieces of clothing, 28x28 grey",
        read=lambda _, root: read_idx_set("fashion-mnist", root),
        places=("FashionMNIST/raw/train-images-idx3-ubyte", "FashionMNIST/raw/train-images-idx3-ubyte.gz"),
        downloads=True,
    ),
    "cifar10": Source(
        about="60,000 animals and vehicles of 10 kinds, 32x32 colour",
        read=lambda _, root: read_cifar10(root),
        places=("cifar10.npz", "cifar-10-batches-bin", "cifar-10-batches-py"),
        downloads=True,
    ),
    "fer2013": Source(
        about="35,887 faces in 7 moods, 48x48 grey",
        read=lambda _, root: read_fer2013(root),
        places=("fer2013.csv", "fer2013/fer2013.csv"),
        cure=FER2013_CURE,
    ),
    "npz:PATH": Source(
        about="your arrays, train_images (N, H, W[, C]) uint8, train_labels, test_...: an npz file, or a folder of npy",
        read=lambda config, root: read_npz(_path(config, root)),
        cure="write npz: and the path of the file or folder",
    ),
    "folder:PATH": Source(
        about="your pictures: one folder a class",
        read=lambda config, root: read_folder(_path(config, root), size=config.size or 32, framing=config.framing),
        cure="write folder: and the path of the folder",
    ),
    "torchvision:NAME": Source(
        about="one of torchvision's classification sets, by its class: torchvision:SVHN",
        read=lambda config, root: read_torchvision(
            config.name.partition(":")[2], root, size=config.size, framing=config.framing, download=config.download
        ),
        cure="write torchvision: and the name of the class",
    ),
    "hf:PATH": Source(
        about="a local copy of a data set of pictures: parquet or arrow files",
        read=lambda config, root: read_hf(_path(config, root), size=config.size, framing=config.framing),
        cure="write hf: and the path of the folder",
    ),
    "MODULE:FUNCTION": Source(
        about="your own function that returns (training, test): arrays or PyTorch data sets",
        read=lambda config, _: read_function(config.name),
        cure="write package.module:function",
    ),
}
