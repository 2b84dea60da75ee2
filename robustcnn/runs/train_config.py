"""A training's whole config, composed from those of the parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from robustcnn.core.folders import RUNS
from robustcnn.core.runtime import DeviceName, Precision, check_threads
from robustcnn.data.balance import Balance
from robustcnn.data.registry import DataConfig
from robustcnn.models import ModelConfig, checkpoint
from robustcnn.runs.folder import Kind, check
from robustcnn.train import FitConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Train a classifier and keep its best and last weights."""

    name: str = ""
    """Of the run; made up from data, model and time when not given."""
    runs: Path = RUNS
    """Folder that holds the runs, one folder each."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=lambda: ModelConfig(name="smallcnn"))
    init_from: str = ""
    """Weights to start from: a run, its folder or torchvision:NAME; its network too unless --model says otherwise."""
    weights: Path | None = None
    """For torchvision:NAME: the file of its weights; else the one in torchvision's cache."""
    download: bool = False
    """For torchvision:NAME: fetch the weights when they are not in the cache."""
    fit: FitConfig = field(default_factory=FitConfig)
    balance: Balance = "none"
    """What to do about rare classes in the training part."""
    device: DeviceName = "auto"
    """`auto` takes a GPU when there is one."""
    precision: Precision = "fp32"
    """`bf16` is mixed precision: faster, slightly different numbers; `fp16`, its loss scaled, for GPUs without it."""
    compile: bool = False
    """Compile the model, and what an attack searches with: a minute or so of waiting, then faster steps."""
    threads: int | None = None
    """CPU threads; tiny models are fastest with 1."""
    track: bool = True
    """Whether the run is shown in MLflow; --no-track leaves it out."""
    track_training: bool = False
    """Upload the optimiser's state too, so that MLflow's copy of the checkpoint can be resumed."""
    group: str = ""
    """A tag that the runs of one comparison share in MLflow."""
    export: bool = False
    """Give MLflow also a model that it can load and serve by itself (pt2); takes some seconds."""

    def __post_init__(self) -> None:
        check_threads(self.threads)
        check(self)


TRAINING = Kind(config=TrainConfig, what="run", record="run.json", page=checkpoint.PAGE)
