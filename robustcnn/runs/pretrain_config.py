"""A pre-training's whole config, composed from those of the parts, and its presets."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from robustcnn.core.plain_data import did_you_mean
from robustcnn.core.runtime import DeviceName, Precision
from robustcnn.data.registry import DataConfig
from robustcnn.models.dcgan import DcganConfig
from robustcnn.train.gan.settings import GanConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig:
    """Train a DCGAN, whose discriminator a classifier can start from."""

    name: str = ""
    """Of the run; made up from data and time when not given."""
    runs: Path = Path("mlruns/checkpoints")
    """Folder that holds the runs, one folder each."""
    data: DataConfig = field(default_factory=DataConfig)
    model: DcganConfig = field(default_factory=DcganConfig)
    fit: GanConfig = field(default_factory=GanConfig)
    judge: Path | None = None
    """Checkpoint folder of a classifier in whose features the Frechet distance is measured; a fixed random network's
    when not given."""
    device: DeviceName = "auto"
    """`auto` takes a GPU when there is one."""
    precision: Precision = "fp32"
    """`bf16` is mixed precision: faster, slightly different numbers."""
    threads: int | None = None
    """CPU threads; tiny models are fastest with 1."""
    track: bool = True
    """Show the run in MLflow."""

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}")
        if Path(self.name).name != self.name:
            raise ValueError(f"name must be a plain folder name, got {self.name!r} (--runs says where runs are kept)")


def preset(name: str) -> PretrainConfig:
    """The preset config of that name."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}{did_you_mean(name, PRESETS)}")
    return PRESETS[name][1]


def presets_table() -> str:
    """A line a preset."""
    return "\n".join(f"  {name:<18} {says}" for name, (says, _) in PRESETS.items())


PRESETS = {
    "digits-dcgan": (
        "the embedded digits: about a minute",
        PretrainConfig(
            data=DataConfig(name="digits"),
            model=DcganConfig(width=0.25),
            fit=GanConfig(epochs=30, batch_size=16, lr=1e-4, generator_lr=5e-4),
        ),
    ),
    "fashion-dcgan": (
        "Fashion-MNIST",
        PretrainConfig(
            data=DataConfig(name="fashion-mnist"), model=DcganConfig(width=0.5), fit=GanConfig(epochs=30, batch_size=64)
        ),
    ),
    "signs-dcgan": (
        "the embedded road signs in colour",
        PretrainConfig(
            data=DataConfig(name="signs"), model=DcganConfig(width=0.5), fit=GanConfig(epochs=30, batch_size=64)
        ),
    ),
}
