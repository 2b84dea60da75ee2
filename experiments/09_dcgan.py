"""What does pre-training a DCGAN cost beside a bare loop, and what do generator and discriminator learn?

python experiments/09_dcgan.py speed --images 10000 --rounds 5
python experiments/09_dcgan.py quality --runs FOLDER      goes on where it was stopped
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from bench import compare, machine
from torch import Tensor, nn

from robustcnn import FitConfig, OptimConfig, ResidentDataset, load
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.evaluate import score
from robustcnn.models import ModelConfig, checkpoint
from robustcnn.models.dcgan import DcganConfig, Generator, classifier_from, discriminator
from robustcnn.runs import pretrain as pretraining
from robustcnn.runs import train as runs
from robustcnn.runs.presets import gan_preset
from robustcnn.runs.train_config import DataConfig, TrainConfig
from robustcnn.train.gan.checkpoint import PAGE, load_discriminator, load_generator
from robustcnn.train.gan.latents import sample_latents
from robustcnn.train.gan.loop import pretrain
from robustcnn.train.gan.settings import GanConfig
from robustcnn.train.gan.watch import generated


def networks(data: ResidentDataset, width: float) -> tuple[Generator, nn.Module]:
    with global_seed(0):
        return Generator(data.spec, DcganConfig(width=width)), discriminator(data.spec, DcganConfig(width=width))


def bare_epoch(data: ResidentDataset, width: float, config: GanConfig) -> None:
    """All that has to be done and nothing else, written for this one case."""
    generator, judge = (net.to(memory_format=torch.channels_last).train() for net in networks(data, width))
    adams = [torch.optim.Adam(net.parameters(), config.lr, (0.5, 0.999), fused=True) for net in (judge, generator)]
    draws = seeded(0)
    for chosen in torch.randperm(len(data), generator=draws).split(config.batch_size):
        images = (data.images[chosen].float() / 255).contiguous(memory_format=torch.channels_last)
        made = generator(torch.randn(len(images), 100, generator=draws))
        on_real, on_made = judge(images), judge(made.detach())
        loss = F.binary_cross_entropy_with_logits(on_real, torch.full_like(on_real, 0.9))
        (loss + F.binary_cross_entropy_with_logits(on_made, torch.zeros_like(on_made))).backward()
        adams[0].step()
        adams[0].zero_grad()
        judge.requires_grad_(False)
        on_made = judge(made)
        F.binary_cross_entropy_with_logits(on_made, torch.ones_like(on_made)).backward()
        judge.requires_grad_(True)
        adams[1].step()
        adams[1].zero_grad()


def speed(arguments: argparse.Namespace) -> None:
    data = load("fashion-mnist").train
    few = replace(data.subset(arguments.images), spec=data.spec)
    config = GanConfig(epochs=1)
    ways = {
        "bare": lambda: bare_epoch(few, arguments.width, config),
        "ours": lambda: list(pretrain(*networks(few, arguments.width), few, config, progress=False)),
    }
    times = compare(ways, arguments.rounds)
    print(f"\none epoch of {len(few):,} images, width {arguments.width:g}, medians of {arguments.rounds} rounds\n")
    print("| bare PyTorch loop | robustcnn, epoch judged | ratio | aim |\n|---|---|---|---|")
    ratio = times["ours"] / times["bare"]
    print(f"| {times['bare']:.2f} s | {times['ours']:.2f} s | {ratio:.3f} | <= 1.05 |")


def train_judge(arguments: argparse.Namespace) -> nn.Module:
    """A classifier that has seen real images only."""
    optim = OptimConfig(name="nesterov", lr=0.05, schedule="one-cycle")
    config = TrainConfig(
        name="judge",
        runs=arguments.runs,
        data=DataConfig(name="fashion-mnist", limit=arguments.limit),
        model=ModelConfig(name="smallcnn", width=0.5, dropout=0.4),
        fit=FitConfig(epochs=arguments.judge_epochs, batch_size=64, optim=optim, l2=5.0),
        track=False,
    )
    if not (arguments.runs / "judge" / checkpoint.PAGE).is_file():
        return runs.train(config, say=print).model
    return runs.resume("judge", arguments.runs, say=print).model


def pretrained(arguments: argparse.Namespace) -> Path:
    base = gan_preset("fashion-dcgan")
    config = replace(
        base,
        name="dcgan",
        runs=arguments.runs,
        data=replace(base.data, limit=arguments.limit),
        model=replace(base.model, width=arguments.width),
        fit=replace(base.fit, epochs=arguments.epochs),
        track=False,
    )
    if (arguments.runs / "dcgan" / PAGE).is_file():
        return pretraining.resume("dcgan", arguments.runs, say=print).folder
    return pretraining.pretrain_run(config, say=print).folder


@torch.no_grad()
def answers(judge: nn.Module, images: Tensor) -> tuple[float, Tensor]:
    """(mean confidence, how many images of each class)."""
    shares = torch.cat([judge(part).softmax(1) for part in images.split(500)])
    confidence, classes = shares.max(1)
    return confidence.mean().item(), classes.bincount(minlength=shares.shape[1])


def linear_head(folder: Path, train: ResidentDataset, test: ResidentDataset, epochs: int) -> float:
    """Test accuracy of a linear layer on the frozen trunk, whose features are computed once."""
    with global_seed(0):
        model = classifier_from(load_discriminator(folder), train.spec).eval()
    trunk, head = model.net[:-1], model.net[-1]
    with torch.no_grad():
        parts = [trunk((images - model.mean) / model.std) for images, _ in train.batches(500)]
    features, draws = torch.cat(parts), seeded(0)
    steps = epochs * -(-len(train) // 128)
    adam = torch.optim.Adam(head.parameters(), fused=True)
    falling = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, steps)
    for _ in range(epochs):
        for chosen in torch.randperm(len(train), generator=draws).split(128):
            adam.zero_grad()
            F.cross_entropy(head(features[chosen]), train.labels[chosen]).backward()
            adam.step()
            falling.step()
    return score(model, test).accuracy


def quality(arguments: argparse.Namespace) -> None:
    start = time.process_time()
    folder = pretrained(arguments)
    minutes = (time.process_time() - start) / 60
    judge = train_judge(arguments).eval()
    train, _, test = load(DataConfig(name="fashion-mnist", limit=arguments.limit))
    latents = sample_latents(arguments.samples, 100, seed=1, purpose="experiment")
    confidence, counts = answers(judge, generated(load_generator(folder), latents))
    on_real, _ = answers(judge, next(test.batches(arguments.samples))[0])
    accuracy = linear_head(folder, train, test, arguments.head_epochs)
    rarest = train.classes[int(counts.argmin())]
    print(
        f"\n{len(train):,} images, width {arguments.width:g}, {arguments.epochs} epochs in {minutes:.1f} CPU minutes;"
    )
    print(f"the judge: {100 * score(judge, test).accuracy:.2f} % on {len(test):,} test images\n")
    print("| what | ours | aim |\n|---|---|---|")
    print(f"| mean confidence on {arguments.samples:,} samples (real: {on_real:.3f}) | {confidence:.3f} | >= 0.8 |")
    rare = f"{int((counts > 0).sum())} (rarest: {rarest}, {100 * counts.min() / counts.sum():.1f} %)"
    print(f"| classes among them | {rare} | 10 |")
    print(f"| frozen trunk + linear head, test accuracy | {100 * accuracy:.2f} % | >= 85 % |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["speed", "quality"])
    parser.add_argument("--width", type=float, default=0.5, help="of both networks; 1 is 64 channels and more")
    parser.add_argument("--images", type=int, default=10_000, help="speed: images of the epoch")
    parser.add_argument("--rounds", type=int, default=5, help="speed: how often each way is timed")
    parser.add_argument(
        "--runs", type=Path, default=Path("mlruns/experiment-09"), help="quality: where networks are kept"
    )
    parser.add_argument("--limit", type=int, default=None, help="quality: at most so many training images")
    parser.add_argument("--epochs", type=int, default=30, help="quality: of the DCGAN")
    parser.add_argument("--judge-epochs", type=int, default=8)
    parser.add_argument("--head-epochs", type=int, default=5)
    parser.add_argument("--samples", type=int, default=5_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}, torch {torch.__version__}, 1 thread")
    {"speed": speed, "quality": quality}[arguments.part](arguments)


if __name__ == "__main__":
    main()
