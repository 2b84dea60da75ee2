"""The networks of the speed experiment, larger than those of victims.py: trained once, kept as checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lib.victims import Against
from robustcnn import FitConfig, ImageSpec, OptimConfig, ResidentDataset, build, fit, load, load_checkpoint
from robustcnn.attacks.gradient import PGD
from robustcnn.core.runtime import global_seed
from robustcnn.core.threat import ThreatModel
from robustcnn.models import ModelConfig, PixelModel
from robustcnn.models.checkpoint import PAGE
from robustcnn.train import Standard

FASHION = ThreatModel(norm="linf", eps=0.1)
CIFAR = ThreatModel(norm="linf", eps=8 / 255)
PLAIN, HALF, WHOLE = (
    Standard(),
    Against(attack=PGD(steps=3), threat=ThreatModel(norm="linf", eps=FASHION.eps / 2), clean=0.5),
    Against(attack=PGD(steps=5), threat=FASHION),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Victim:
    """A network, the pictures it sees, and its trainings one after the other: (objective, images, epochs)."""

    network: str
    data: str
    threat: ThreatModel
    stages: tuple[tuple[Standard | Against, int, int], ...]

    @property
    def name(self) -> str:
        kind = "plain" if self.stages[-1][0] is PLAIN else "robust"
        return f"{self.data}-{self.network}-{kind}"

    def model(self, folder: Path) -> PixelModel:
        """From its checkpoint where there is one."""
        folder = folder / self.name
        if not (folder / PAGE).is_file():
            train, validation, _ = load(self.data)
            model = _fresh(self.network, train.spec)
            for number, (objective, images, epochs) in enumerate(self.stages, start=1):
                optim = OptimConfig(name="adam", lr=2e-3, schedule="cosine", warmup=0.05)
                config = FitConfig(epochs=epochs, batch_size=64, objective=objective, optim=optim)
                kept = folder if number == len(self.stages) else None
                few = validation.subset(1_000)
                for epoch in fit(model, train.subset(images), few, config, folder=kept, precision="bf16"):
                    print(self.name, epoch, flush=True)
        return load_checkpoint(folder, which="last")

    def images(self) -> ResidentDataset:
        return load(self.data).test


def _fresh(network: str, spec: ImageSpec) -> PixelModel:
    with global_seed(0):
        return build(ModelConfig(name=network), spec)


BNCNN = Victim(network="bncnn", data="fashion-mnist", threat=FASHION, stages=((PLAIN, 20_000, 2),))
ROBUST = Victim(
    network="bncnn",
    data="fashion-mnist",
    threat=FASHION,
    stages=((PLAIN, 10_000, 1), (HALF, 10_000, 1), (WHOLE, 10_000, 3)),
)
LENET5 = Victim(network="lenet5", data="fashion-mnist", threat=FASHION, stages=((PLAIN, 20_000, 2),))
DIGITS = Victim(network="lenet5", data="digits", threat=FASHION, stages=((PLAIN, 1_500, 2),))
RESNET18 = Victim(network="resnet18", data="cifar10", threat=CIFAR, stages=((PLAIN, 2_000, 1),))

if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    for victim in (ROBUST, BNCNN, LENET5, RESNET18):
        victim.model(Path("mlruns/victims"))
