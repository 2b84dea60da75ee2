"""Norms by name. A new one is a file with a subclass of `Norm` that calls `register`; nothing else has to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from robustcnn.core.norms.l1 import L1
from robustcnn.core.norms.l2 import L2
from robustcnn.core.norms.linf import Linf
from robustcnn.core.norms.norm import Norm as Norm
from robustcnn.core.norms.norm import fraction as fraction

NORMS: dict[str, Norm] = {norm.name: norm for norm in (Linf(), L2(), L1())}

if TYPE_CHECKING:
    NormName = str
else:
    # The command line offers these.
    NormName = Literal[tuple(NORMS)]


def register(norm: Norm) -> None:
    """Make `ThreatModel(norm=norm.name)` mean this norm."""
    NORMS[norm.name] = norm
