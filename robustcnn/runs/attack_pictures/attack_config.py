"""What `robustcnn attack` is asked, and what becomes of each picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from robustcnn.core.folders import RUNS
from robustcnn.core.norms import NORMS, NormName
from robustcnn.core.runtime import DeviceName
from robustcnn.core.threat import ThreatModel
from robustcnn.data.sets.picture import Framing
from robustcnn.evaluate import attack_named
from robustcnn.evaluate.one_picture import Answer, Attempt
from robustcnn.models.checkpoint import Which
from robustcnn.runs.attack_pictures.stand_in import LIMIT, NAME, STOP

PAPER = 0.007
"""Goodfellow et al. 2015, in GoogLeNet's input range of [-1, 1]."""
SEARCHED = 16
"""Times the largest eps asked for: how far --smallest looks."""
Range = Literal["pixels", "model"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackVerb:
    """Options of `robustcnn attack`."""

    model: str = "googlenet"
    """A torchvision classifier (googlenet, resnet50, squeezenet1_0 ...), stand-in, or any MODEL of `evaluate`."""
    weights: Path | None = None
    """File with the torchvision classifier's weights; torchvision's own cache when not given."""
    download: bool = False
    """Fetch the classifier's weights when they are not in the cache."""
    runs: Path = RUNS
    """Folder that holds the runs, one folder each."""
    which: Which = "best"
    """Of a run: the weights of the best epoch, or of the last."""
    attack: str = "fgsm"
    """By name, as `evaluate` takes it: fgsm, "pgd(steps=40)", apgd, deepfool ..."""
    norm: NormName = "linf"
    """How the change is measured."""
    eps: tuple[float, ...] = ()
    """Radii such as 0.007 or 8/255, one or several; the paper's 0.007 when not given."""
    eps_range: Range = "pixels"
    """Whether eps counts in pixels from 0 to 1, or in the model's own normalised input range, as in the paper."""
    target: str | None = None
    """Class to be led to, by name or index; any wrong one when not given."""
    label: str | None = None
    """True class of the pictures, by name or index; the model's own answer when not given."""
    smallest: bool = False
    """Find the smallest eps that does it, too."""
    along: bool = False
    """Draw the logits along the sign of the gradient, too."""
    framing: Framing = "crop"
    """Take the middle of a picture as the model was tested, or squash all of it."""
    size: int | None = None
    """Pixels a side, for a model that does not tell them; 224 when not given."""
    out: Path = Path("mlruns/attacked")
    """Folder for the pictures and figures."""
    device: DeviceName = "auto"
    """`auto` takes a GPU when there is one."""
    seed: int = 0
    """Of attacks that draw numbers."""

    def __post_init__(self) -> None:
        attack_named(self.attack)
        if not NORMS[self.norm].grey_levels and not self.eps:
            raise ValueError(f"eps has no usual value for one picture in {self.norm}, give one (--eps 0.5)")
        if self.size is not None and self.size < 1:
            raise ValueError(f"size must be at least 1 pixel, got {self.size}")
        for eps in self.radii:
            ThreatModel(norm=self.norm, eps=eps)
            if not 0 < eps < float("inf"):
                raise ValueError(f"eps must be a positive number, got {eps:g}")

    @property
    def radii(self) -> tuple[float, ...]:
        """What eps is."""
        return tuple(sorted(self.eps)) or (PAPER,)

    @property
    def widest(self) -> ThreatModel:
        """How far --smallest looks."""
        most = SEARCHED * self.radii[-1]
        return ThreatModel(norm=self.norm, eps=min(most, NORMS[self.norm].largest))


DEMO = AttackVerb(model=NAME, attack="pgd", eps=(8 / 255,), target=LIMIT, label=STOP)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attacked:
    """What became of one picture."""

    picture: str
    label: Answer
    """The class that is attacked, and what the model believed of it before."""
    label_given: bool
    clean: tuple[Answer, ...]
    attempts: tuple[Attempt, ...]
    smallest: float | None
    """Eps; None where none was looked for, or none was found."""
    pixel_unit: float
    """What an eps of 1 is in pixels."""
    figure: Path

    @property
    def shown(self) -> int:
        """Which attempt the figure is about: the first that got there, else the last."""
        return next((i for i, attempt in enumerate(self.attempts) if attempt.reached), len(self.attempts) - 1)
