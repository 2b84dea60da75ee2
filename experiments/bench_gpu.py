"""How fast are attacks and training on a GPU, beside other people's, and how near to what the chip can do?

Three tables. PGD on untrained networks (nobody falls out, so that arithmetic alone is compared); steps of PGD-10
training; how often the host waits for the device in a step. With --run a network of yours is judged by AutoAttack and
Swift, and by torchattacks where that is installed. Wall-clock medians of interleaved rounds, the device waited for. The
share of the peak counts the operations of forward and backward pass against the best matrix product measured in the
same precision.

    python experiments/bench_gpu.py                      on the first GPU; about four minutes
    python experiments/bench_gpu.py --run mlruns/checkpoints/cifar10-robust --images 1000
    python experiments/bench_gpu.py --device cpu --images 32 --networks lenet5 --steps 3 --no-compile     to try it
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from lib.gpu import Way, done, peak, seconds, waits
from lib.peers import Task, missing, torchattacks_ensemble
from lib.textbook import textbook_pgd
from torch import Tensor, nn

from robustcnn import FitConfig, ImageSpec, OptimConfig, ResidentDataset, ThreatModel, build, craft, describe, load
from robustcnn.attacks import APGD, FAB, PGD, Attack, AutoAttack, Square, Swift
from robustcnn.core.runtime import Precision, seeded
from robustcnn.fast.view import fast_view
from robustcnn.models import PixelModel
from robustcnn.models.checkpoint import load as load_checkpoint
from robustcnn.runs.train_config import TRAINING
from robustcnn.train import Adversarial
from robustcnn.train.training import Training

SHAPES = {
    "lenet5": (1, 28),
    "bncnn": (1, 28),
    "resnet18": (3, 32),
    "preactresnet18": (3, 32),
    "wideresnet28-10": (3, 32),
}
USUAL = ["preactresnet18", "wideresnet28-10"]
Found = Callable[[Tensor, Tensor], Tensor]
"""Attacked pictures, of pictures and labels."""
WAITING = {"linf": 8 / 255, "l2": 0.5, "l1": 12.0}


class Bench:
    """A device, its peaks, and what the command line asked for."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.asked, self.device = arguments, torch.device(arguments.device)
        size = 8192 if self.device.type == "cuda" else 512
        self.peaks = {"fp32": self.peak(torch.float32, size), "bf16": self.peak(torch.bfloat16, size)}
        label = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        shown = ", ".join(f"{name} {rate / 1e12:.1f} TFLOP/s" for name, rate in self.peaks.items())
        print(f"{label}, torch {torch.__version__}; matrix product: {shown}")

    def peak(self, kind: torch.dtype, size: int) -> float:
        return peak(self.device, kind, size=size)

    def share(self, way: str, operations: float, took: float) -> float:
        return operations / took / self.peaks["bf16" if "bf16" in way else "fp32"]

    def untrained(self, name: str, count: int) -> tuple[PixelModel, ResidentDataset]:
        """A network and noise to show it."""
        channels, side = SHAPES[name]
        spec = ImageSpec(
            channels=channels,
            height=side,
            width=side,
            classes=tuple("0123456789"),
            mean=(0.5,) * channels,
            std=(0.25,) * channels,
        )
        images = torch.randint(256, (count, channels, side, side), dtype=torch.uint8, generator=seeded(0))
        data = ResidentDataset(images=images, labels=torch.arange(count) % 10, spec=spec)
        return build(name, spec).to(self.device), data.to(self.device)

    def attacks(self, name: str) -> None:
        """PGD's rows of one network."""
        model, data = self.untrained(name, self.asked.images)
        model.eval()
        images, threat, steps = data.images.float() / 255, ThreatModel(eps=8 / 255), self.asked.steps
        ways: dict[str, Way] = {
            "textbook": lambda: textbook_pgd(model, images, data.labels, eps=threat.eps, steps=steps)
        }
        kinds: list[tuple[Precision, bool]] = [("fp32", False), ("bf16", False)]
        for precision, compiled in kinds + [("bf16", True)] * self.asked.compile:
            view = fast_view(model, images[:8], precision=precision, compiled=compiled)
            view.chunk = len(images)
            way = f"ours, {precision}{', compiled' * compiled}"
            ways[way] = partial(craft, PGD(steps=steps), view, images, data.labels, threat)
        spent = seconds(ways, self.device, self.asked.rounds)
        operations = 4 * describe(model).multiply_adds * len(images) * steps
        for way, took in spent.items():
            row = f"{1e3 * took:.1f} | {spent['textbook'] / took:.2f} | {self.share(way, operations, took):.3f}"
            print(f"| {name} | {len(images)} | {way} | {row} |", flush=True)

    def training(self, name: str) -> None:
        """Rows of PGD-10 training of one network."""
        steps, batch = 10, min(self.asked.batch, self.asked.images)
        # Many steps, so that what an epoch costs once is little of it.
        model, data = self.untrained(name, (40 if self.device.type == "cuda" else 1) * batch)
        objective = Adversarial(threat=ThreatModel(eps=8 / 255), steps=steps)
        config = FitConfig(epochs=99, batch_size=batch, objective=objective, watch=0, optim=OptimConfig(lr=1e-3))
        ways: dict[str, Way] = {}
        for precision, compiled in [("fp32", False), ("bf16", False)] + [("bf16", True)] * self.asked.compile:
            fresh = build(name, data.spec).to(self.device)
            training = Training(
                fresh, data, data.subset(batch), config, precision=precision, compiled=compiled, progress=False
            )
            ways[f"ours, {precision}{', compiled' * compiled}"] = training.epoch
        spent = seconds(ways, self.device, min(2, self.asked.rounds))
        operations = (4 * steps + 6) * describe(model).multiply_adds * len(data)
        for way, took in spent.items():
            row = f"{len(data) / took:.0f} | {self.share(way, operations, took):.3f}"
            print(f"| {name} | {batch} | {way} | {row} |", flush=True)

    def waiting(self) -> None:
        """Rows of waits a step: of twice as many steps, what comes on top."""
        model, data = self.untrained("bncnn", 64)
        view, images = fast_view(model.eval(), data.images[:8].float() / 255), data.images.float() / 255
        # Nobody waits for a CPU.
        steps = 64 if self.device.type == "cuda" else 2
        for norm, eps in WAITING.items():
            for attack in (PGD, APGD, FAB, Square):
                key = "queries" if attack is Square else "steps"
                threat = ThreatModel(norm=norm, eps=eps)
                asked = [
                    waits(partial(craft, attack(**{key: count}), view, images, data.labels, threat), self.device)
                    for count in (steps, 2 * steps)
                ]
                print(f"| {attack.__name__} | {norm} | {(asked[1] - asked[0]) / steps:.2f} |", flush=True)

    def ensembles(self, run: Path) -> None:
        """Rows of whole evaluations of a trained network."""
        config = TRAINING.read_config(run)
        model = load_checkpoint(run).to(self.device).eval()
        data = load(config.data).test.sample(self.asked.images, generator=seeded(0)).to(self.device)
        threat = config.fit.watched or ThreatModel(eps=8 / 255)
        few = data.subset(64)
        contests: list[tuple[str, ResidentDataset, Found]] = [
            ("Swift, ours, bf16", data, self.ours(Swift(), model, threat, "bf16")),
            ("AutoAttack, ours, bf16", few, self.ours(AutoAttack(), model, threat, "bf16")),
            ("AutoAttack, ours, fp32", few, self.ours(AutoAttack(), model, threat, "fp32")),
        ]
        if "torchattacks" not in missing():
            theirs = partial(_of_torchattacks, model, threat)
            contests.insert(1, ("AutoAttack, torchattacks", few, theirs))
        contests.append(("AutoAttack, ours, bf16", data, contests[-2][2]))
        for way, part, search in contests:
            start = time.perf_counter()
            found = search(part.images.float() / 255, part.labels)
            done(self.device)
            took = time.perf_counter() - start
            with torch.no_grad():
                standing = (model(found).argmax(1) == part.labels).float().mean().item()
            print(f"| {way} | {len(part)} | {took:.1f} | {100 * standing:.1f} |", flush=True)

    def ours(self, attack: Attack, model: nn.Module, threat: ThreatModel, precision: Precision) -> Found:
        return lambda images, labels: craft(attack, model, images, labels, threat, precision=precision)


def _of_torchattacks(model: PixelModel, threat: ThreatModel, images: Tensor, labels: Tensor) -> Tensor:
    return torchattacks_ensemble(Task(model=model, images=images, labels=labels, threat=threat), 100, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--networks", nargs="+", default=USUAL, choices=SHAPES)
    parser.add_argument("--images", type=int, default=1024, help="one batch of so many")
    parser.add_argument("--batch", type=int, default=256, help="of the training")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", type=Path, help="a run's folder: judge its network")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        parser.exit(2, "torch sees no GPU here; --device cpu tries the script without one\n")
    bench = Bench(arguments)
    if arguments.run is not None:
        print("\n| ensemble | images | seconds | left standing, % |\n|---|---|---|---|")
        bench.ensembles(arguments.run)
        return
    print(f"\nPGD-{arguments.steps}\n\n| network | images | way | ms | textbook / it | share of the peak |")
    print("|---|---|---|---|---|---|")
    for name in arguments.networks:
        bench.attacks(name)
    print("\nPGD-10 training\n\n| network | batch | way | images/s | share of the peak |\n|---|---|---|---|---|")
    for name in arguments.networks:
        bench.training(name)
    print("\n| attack | norm | waits a step |\n|---|---|---|")
    bench.waiting()


if __name__ == "__main__":
    main()
