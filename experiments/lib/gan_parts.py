"""What the experiment on the DCGAN trains and asks: a bare loop, a judge that saw real images only, a linear head."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robustcnn import FitConfig, OptimConfig, ResidentDataset
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.evaluate import score
from robustcnn.models import ModelConfig, checkpoint
from robustcnn.models.dcgan import DcganConfig, Generator, classifier_from, discriminator
from robustcnn.runs import pretrain as pretraining
from robustcnn.runs import train as runs
from robustcnn.runs.presets import gan_preset
from robustcnn.runs.train_config import DataConfig, TrainConfig
from robustcnn.train.gan.checkpoint import PAGE, load_discriminator
from robustcnn.train.gan.settings import GanConfig


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


def train_judge(arguments: argparse.Namespace) -> nn.Module:
    """A classifier that has seen real images only."""
    optim = OptimConfig(name="nesterov", lr=0.05, schedule="one-cycle")
    config = TrainConfig(
        name="judge",
        runs=arguments.runs,
        data=DataConfig(name=arguments.data, limit=arguments.limit),
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
        data=replace(base.data, name=arguments.data, limit=arguments.limit),
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
