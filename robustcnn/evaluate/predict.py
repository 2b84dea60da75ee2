"""A model's answers on a whole data set, in evaluation mode and in order."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustcnn.core.losses import cross_entropy
from robustcnn.core.results import Scores
from robustcnn.core.runtime import Precision, autocast, evaluating
from robustcnn.data import ResidentDataset
from robustcnn.fast.plain_view import cure, plain_view


@torch.no_grad()
def predict(model: nn.Module, data: ResidentDataset, *, batch_size: int = 512, precision: Precision = "fp32") -> Tensor:
    """Float32 logits (N, K)."""
    if not len(data):
        raise ValueError(f"{data.name} holds no examples to predict")
    view = plain_view(model)
    with evaluating(view), autocast(data.device, precision):
        batches = [_rows(view(images), images).float() for images, _ in data.batches(batch_size)]
    return torch.cat(batches)


def _rows(logits: Tensor, images: Tensor) -> Tensor:
    if logits.ndim != 2 or len(logits) != len(images):
        raise ValueError(
            f"model must return logits ({len(images)}, K) for {len(images)} images, one row each, got "
            f"{tuple(logits.shape)}{cure(logits)}"
        )
    return logits


def score(
    model: nn.Module,
    data: ResidentDataset,
    *,
    batch_size: int = 512,
    precision: Precision = "fp32",
) -> Scores:
    """Mean loss (each example's times its weight, where there are any) and accuracy."""
    logits = predict(model, data, batch_size=batch_size, precision=precision)
    losses = cross_entropy(logits, data.labels).double()
    loss = (losses if data.weights is None else losses * data.weights).mean()
    accuracy = (logits.argmax(1) == data.labels).double().mean()
    return Scores(count=len(data), loss=loss.item(), accuracy=accuracy.item())
