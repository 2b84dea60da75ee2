"""A pre-training's whole config, composed from those of the parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from robustcnn.core.folders import RUNS
from robustcnn.core.runtime import DeviceName, WideRange, check_threads
from robustcnn.data.registry import DataConfig
from robustcnn.models.dcgan import DcganConfig
from robustcnn.runs.folder import Kind, check
from robustcnn.train.gan import checkpoint as gan_checkpoint
from robustcnn.train.gan.settings import GanConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig:
    """Train a DCGAN, whose discriminator a classifier can start from."""

    name: str = ""
    """Of the run; made up from data and time when not given."""
    runs: Path = RUNS
    """Folder that holds the runs, one folder each."""
    data: DataConfig = field(default_factory=DataConfig)
    model: DcganConfig = field(default_factory=DcganConfig)
    fit: GanConfig = field(default_factory=GanConfig)
    judge: Path | None = None
    """Folder of a classifier whose features measure the Frechet distance; a fixed random network's without one."""
    device: DeviceName = "auto"
    """`auto` takes a GPU when there is one."""
    precision: WideRange = "fp32"
    """`bf16` is mixed precision: faster, slightly different numbers."""
    threads: int | None = None
    """CPU threads; tiny models are fastest with 1."""
    track: bool = True
    """Whether the run is shown in MLflow; --no-track leaves it out."""
    group: str = ""
    """A tag that the runs of one comparison share in MLflow."""

    def __post_init__(self) -> None:
        check_threads(self.threads)
        check(self)


PRETRAINING = Kind(config=PretrainConfig, what="pre-training", record="pretrain.json", page=gan_checkpoint.PAGE)
