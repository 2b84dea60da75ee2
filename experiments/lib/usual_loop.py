"""The loop that most people write: a DataLoader, torchvision's transforms a picture at a time, plain SGD."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms

from robustcnn import Augment, OptimConfig, ResidentDataset

BATCH = 128
AUGMENT = Augment(mirror=True, shift=4)
OPTIM = OptimConfig(name="sgd", lr=0.01, momentum=0.9)


class PerImage(TensorDataset):
    """The usual data set: a picture at a time, through torchvision's transforms."""

    def __init__(self, data: ResidentDataset) -> None:
        super().__init__(data.images, data.labels)
        crop = transforms.RandomCrop(data.spec.height, padding=4)
        self.change = transforms.Compose(
            [transforms.ToPILImage(), crop, transforms.RandomHorizontalFlip(), transforms.ToTensor()]
        )

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        image, label = super().__getitem__(index)
        return self.change(image), label


def usual_loader(data: ResidentDataset) -> DataLoader:
    return DataLoader(PerImage(data), batch_size=BATCH, shuffle=True)


def usual_epoch(model: nn.Module, data: ResidentDataset) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    model.train()
    for images, labels in usual_loader(data):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
