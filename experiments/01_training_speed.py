"""How much faster than the usual loop does training run, and how near to a bare loop over resident tensors?

Four ways to train the same network on the same pictures, with the same augmentation (crop and mirror), batch size and
arithmetic, one thread, turn and turn about; medians of the rounds are compared.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from lib.bench import compare
from lib.opening import options, read, say_machine, table_head, table_row
from lib.usual_loop import AUGMENT, BATCH, OPTIM, usual_epoch, usual_loader
from torch import nn

from robustcnn import FitConfig, ResidentDataset, build, fit, load
from robustcnn.core.runtime import global_seed, seeded


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
        speeds = [f"{count / times[way]:,.0f} images/s" for way in ("usual", ours)]
        ratios = f"{times['usual'] / times[ours]:.2f}", f"{times[ours] / times[bare]:.3f}"
        table_row(f"{name}, {precision}", *speeds, *ratios)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often each way is timed")
    parser.add_argument("--data", default="fashion-mnist", help="grey pictures: fashion-mnist, mnist or digits")
    parser.add_argument("--images", type=int, default=2_560, help="of bncnn's epoch; lenet5's has four times as many")
    args = read(parser, rounds=1, data="digits", images=256)
    data = load(args.data).train
    say_machine(data.name, f"batch {BATCH}", f"medians of {args.rounds} interleaved rounds, CPU time")
    table_head("what", "DataLoader + torchvision", "robustcnn", "ratio", "time / bare loop")
    loaders(data, args.rounds)
    training("bncnn", data, args.images, args.rounds)
    training("lenet5", data, 4 * args.images, args.rounds)


if __name__ == "__main__":
    main()
