"""How fast do gradient attacks run on a GPU, beside a textbook's, and how near to what the chip can do?

PGD on untrained networks (nobody falls out, so that arithmetic alone is compared), each way at each batch size that
fits; wall-clock medians of interleaved rounds, the device waited for. The share of the peak counts the operations of
forward and input gradient against the best matrix product measured in the same precision.

    python experiments/bench_gpu.py                      on the first GPU; about five minutes
    python experiments/bench_gpu.py --device cpu --images 32 --networks lenet5 --steps 3 --no-compile     to try it
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from lib.textbook import textbook_pgd
from torch import Tensor, nn

from robustcnn import ImageSpec, ThreatModel, build, craft, describe
from robustcnn.attacks.gradient import PGD
from robustcnn.core.runtime import Precision
from robustcnn.fast.view import fast_view

SHAPES = {"lenet5": (1, 28), "bncnn": (1, 28), "resnet18": (3, 32), "preactresnet18": (3, 32)}
Way = Callable[[], object]


def seconds(ways: dict[str, Way], device: torch.device, rounds: int) -> dict[str, float]:
    """Median wall-clock time of each, turn and turn about, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, work in ways.items():
            _wait(device)
            start = time.perf_counter()
            work()
            _wait(device)
            if number:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in times.items()}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak(device: torch.device, kind: torch.dtype, *, size: int) -> float:
    """Operations a second of a large square matrix product."""
    left, right = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    spent = seconds({"mm": lambda: left @ right}, device, rounds=9)["mm"]
    return 2 * size**3 / spent


def race(name: str, arguments: argparse.Namespace, device: torch.device, peaks: dict[str, float]) -> None:
    channels, size = SHAPES[name]
    spec = ImageSpec(
        channels=channels,
        height=size,
        width=size,
        classes=tuple("0123456789"),
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
    )
    model = build(name, spec).to(device).eval()
    images = torch.rand(arguments.images, channels, size, size, device=device)
    labels, threat = torch.arange(arguments.images, device=device) % 10, ThreatModel(eps=8 / 255)
    attack = PGD(steps=arguments.steps)
    ways: dict[str, Way] = {
        "textbook": lambda: textbook_pgd(model, images, labels, eps=threat.eps, steps=arguments.steps)
    }
    for precision in ("fp32", "bf16"):
        for compiled in (False, True)[: 1 + arguments.compile]:
            ways[f"ours, {precision}{', compiled' * compiled}"] = _ours(
                model, images, labels, threat, attack, precision, compiled
            )
    spent = seconds(ways, device, arguments.rounds)
    operations = 4 * describe(model).multiply_adds * arguments.images * arguments.steps
    for way, took in spent.items():
        share = operations / took / peaks["bf16" if "bf16" in way else "fp32"]
        row = f"{1e3 * took:.1f} | {spent['textbook'] / took:.2f} | {share:.3f}"
        print(f"| {name} | {arguments.images} | {way} | {row} |", flush=True)


def _ours(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    attack: PGD,
    precision: Precision,
    compiled: bool,
) -> Way:
    view = fast_view(model, images[:8], precision=precision, compiled=compiled)
    view.chunk = len(images)
    return lambda: craft(attack, view, images, labels, threat)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--networks", nargs="+", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--images", type=int, default=1024, help="one batch of so many")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        parser.exit(2, "torch sees no GPU here; --device cpu tries the script without one\n")
    device = torch.device(arguments.device)
    size = 8192 if device.type == "cuda" else 512
    peaks = {"fp32": peak(device, torch.float32, size=size), "bf16": peak(device, torch.bfloat16, size=size)}
    label = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(
        f"{label}, torch {torch.__version__}, PGD-{arguments.steps}; matrix product: "
        + ", ".join(f"{name} {rate / 1e12:.1f} TFLOP/s" for name, rate in peaks.items())
    )
    print("\n| network | images | way | ms | textbook / it | share of the peak |\n|---|---|---|---|---|---|")
    for name in arguments.networks:
        race(name, arguments, device, peaks)


if __name__ == "__main__":
    main()
