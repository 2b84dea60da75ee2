"""Which data a run wants: the options of `load`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from robustcnn.core.plain_data import did_you_mean, shown
from robustcnn.core.plugins import load_plugins
from robustcnn.data.sets.picture import Framing

NAMES = (
    "digits",
    "signs",
    "faces",
    "mnist",
    "fashion-mnist",
    "cifar10",
    "fer2013",
    "npz:PATH",
    "folder:PATH",
    "torchvision:NAME",
    "hf:PATH",
    "MODULE:FUNCTION",
)


FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
MOST_PIXELS = 8192
"""A side."""


MORE: list[str] = []
"""Names that plug-ins have registered."""


def kind_of(name: str) -> str:
    """Which of NAMES a name is one of: `npz:my.npz` is an `npz:PATH`."""
    kind, _, path = name.partition(":")
    prefixed = {each.partition(":")[0]: each for each in NAMES if ":" in each}
    known = prefixed.get(kind, "MODULE:FUNCTION" if is_function(name) else name) if path else name
    if known not in NAMES and known not in MORE:
        load_plugins("data")
    if known not in NAMES and known not in MORE:
        raise ValueError(f"unknown data set {shown(name)}{did_you_mean(name, [*NAMES, *MORE])}")
    return known


def is_function(name: str) -> bool:
    """Whether a name leads to the user's own code."""
    kinds = {each.partition(":")[0] for each in NAMES if each != "MODULE:FUNCTION"}
    return bool(FUNCTION.fullmatch(name)) and name.partition(":")[0] not in kinds


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Which data, and in what form."""

    name: str = "digits"
    """digits, signs, faces, mnist, fashion-mnist, cifar10, fer2013, npz:PATH, folder:PATH, torchvision:NAME,
    hf:PATH (parquet or arrow files) or package.module:function, which returns your own."""
    root: Path | None = None
    """Folder of the data sets; ROBUSTCNN_DATA, else ~/.cache/robustcnn when not given."""
    validation: float = 0.1
    """Share of the training data held out to decide with; ignored where a set brings its own (fer2013)."""
    classes: tuple[str, ...] = ()
    """Only these classes, labelled in this order; all when empty."""
    size: int | None = None
    """Pixels a side; a set's own when not given (32 for digits, signs and folder, 48 for faces)."""
    grey: bool = False
    """Colour pictures as grey ones."""
    framing: Framing = "crop"
    """How folder makes pictures square: cut the middle out, or squash the whole."""
    limit: int | None = None
    """At most so many training examples, every class in proportion."""
    drawn: int = 12_000
    """How many training pictures signs and faces draw; a fifth as many more for testing."""
    seed: int = 0
    """Which examples validate or stay under the limit, and what is drawn; all test splits but signs' are fixed."""
    download: bool = False
    """Fetch mnist, fashion-mnist, cifar10 or torchvision:NAME when absent."""

    def __post_init__(self) -> None:
        kind_of(self.name)
        if not 0 < self.validation < 1:
            raise ValueError(f"validation must lie strictly between 0 and 1, got {self.validation:g}")
        for option, least in (("size", 1), ("limit", 1), ("drawn", 5)):
            value = getattr(self, option)
            if value is not None and value < least:
                raise ValueError(f"{option} must be at least {least}, got {value}")
        if self.size is not None and self.size > MOST_PIXELS:
            raise ValueError(f"size must be at most {MOST_PIXELS:,} pixels a side, got {self.size:,}")
