"""How much faster than the usual loop does training run, and how near to a bare loop over resident tensors?

Four ways to train the same network on the same pictures, with the same augmentation (crop and mirror), batch size and
arithmetic, one thread, turn and turn about; medians of the rounds are compared.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch
import torch.nn.functional as F
from bench import compare, machine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms

from robustcnn import Augment, FitConfig, OptimConfig, ResidentDataset, build, fit, load
from robustcnn.core.runtime import global_seed, seeded

BATCH = 128
AUGMENT = Augment(mirror=True, shift=4)
OPTIM = OptimConfig(name="sgd", lr=0.01, momentum=0.9)


class PerImage(TensorDataset):
    """The usual data set: a picture at a time, through torchvision's transforms."""

    change = transforms.Compose(
        [
            transforms.ToPILImage(),
            transforms.RandomCrop(28, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
        ]
    )

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        image, label = super().__getitem__(index)
        return self.change(image), label


def usual_loader(data: ResidentDataset) -> DataLoader:
    return DataLoader(PerImage(data.images, data.labels), batch_size=BATCH, shuffle=True)


def usual_epoch(model: nn.Module, data: ResidentDataset) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    model.train()
    for images, labels in usual_loader(data):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()


def bare_epoch(model: nn.Module, data: ResidentDataset, precision: str) -> None:
    """All that has to be done and nothing else, written for this one case."""
    model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    generator = seeded(0)
    order = torch.randperm(len(data), generator=generator)
    for start in range(0, len(data), BATCH):
        chosen = order[start : start + BATCH]
        images = AUGMENT(data.images[chosen], generator).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = F.cross_entropy(model(images), data.labels[chosen])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def our_epoch(model: nn.Module, data: ResidentDataset, precision: str) -> None:
    config = FitConfig(epochs=1, batch_size=BATCH, optim=OPTIM, augment=AUGMENT)
    list(fit(model, data, data.subset(1), config, precision=precision))


def loaders(data: ResidentDataset, rounds: int) -> None:
    few = data.subset(2_000)

    def ours() -> None:
        for _ in data.batches(BATCH, generator=seeded(0), transform=AUGMENT):
            pass

    def usual() -> None:
        for _ in usual_loader(few):
            pass

    times = compare({"usual": usual, "ours": ours}, rounds)
    speed = {"usual": len(few) / times["usual"], "ours": len(data) / times["ours"]}
    ratio = speed["ours"] / speed["usual"]
    print(f"| loader alone | {speed['usual']:,.0f} images/s | {speed['ours']:,.0f} images/s | {ratio:.1f} | |")


def training(name: str, data: ResidentDataset, count: int, rounds: int) -> None:
    few = data.subset(count)
    few = replace(few, spec=data.spec)

    def model() -> nn.Module:
        with global_seed(0):
            return build(name, data.spec)

    times = compare(
        {
            "usual": lambda: usual_epoch(model(), few),
            "bare": lambda: bare_epoch(model(), few, "fp32"),
            "ours": lambda: our_epoch(model(), few, "fp32"),
            "bare bf16": lambda: bare_epoch(model(), few, "bf16"),
            "ours bf16": lambda: our_epoch(model(), few, "bf16"),
        },
        rounds,
    )
    for ours, bare in (("ours", "bare"), ("ours bf16", "bare bf16")):
        precision = "bf16" if "bf16" in ours else "float32"
        print(
            f"| {name}, {precision} | {count / times['usual']:,.0f} images/s | {count / times[ours]:,.0f} images/s "
            f"| {times['usual'] / times[ours]:.2f} | {times[ours] / times[bare]:.3f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each way is timed")
    parser.add_argument("--data", default="fashion-mnist", help="28x28 grey pictures: fashion-mnist or mnist")
    parser.add_argument("--scale", type=int, default=1, help="epochs so many times as long: set-up weighs less")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load(arguments.data).train
    print(f"{machine()}, torch {torch.__version__}, 1 thread, {data.name}, batch {BATCH},")
    print(f"medians of {arguments.rounds} interleaved rounds, CPU time\n")
    print("| what | DataLoader + torchvision | robustcnn | ratio | time / bare loop |\n|---|---|---|---|---|")
    loaders(data, arguments.rounds)
    training("bncnn", data, 2_560 * arguments.scale, arguments.rounds)
    training("lenet5", data, 10_240 * arguments.scale, arguments.rounds)


if __name__ == "__main__":
    main()
