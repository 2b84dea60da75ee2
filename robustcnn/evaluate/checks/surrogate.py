"""Small networks that learn to answer as another model does: what fools them may fool it too."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustcnn.core.losses import cross_entropy
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.predict import predict
from robustcnn.models import build

STEPS = 250
BATCH = 64
RATE, MEMORY, LONG_MEMORY = 2e-3, 0.9, 0.999
"""Of Adam: the size of a step, and how long gradients and their squares are remembered."""
LOOKED, FITS = 25, 0.03
"""After so many steps, a student whose mean loss was below that has learnt what there is."""
STUDENTS = (("mlp", 0.25), ("smallcnn", 0.25))
"""Two of different kinds: what fools both is more than a flaw of one."""


class Together(nn.Module):
    """The mean of several models' logits."""

    def __init__(self, *models: nn.Module) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([model(images) for model in self.models]).mean(0)


def distilled(model: nn.Module, data: ResidentDataset, threat: ThreatModel, *, seed: int = 0) -> nn.Module:
    """Trained on the model's own answers, which is all that an attacker needs to ask for (Papernot et al. 2017).

    It is asked about noisy pictures too: what it says inside the ball is what an attack has to know.
    """
    generator = seeded(seed)
    noise = torch.randint(2, data.images.shape, generator=generator).to(data.images) * 2 - 1
    length = threat.distance(noise, torch.zeros_like(noise)).view(-1, 1, 1, 1)
    noisy = (data.images + noise * (threat.eps / length)).clamp(*threat.bounds)
    images = torch.cat([data.images, noisy])
    answers = torch.cat([_classes(model, data, part) for part in (data.images, noisy)])
    with global_seed(seed):
        students = [each for name, width in STUDENTS if (each := _student(name, width, data)) is not None]
    for student in students:
        _teach(student, images, answers, generator)
    return Together(*students).eval()


def _classes(model: nn.Module, data: ResidentDataset, images: Tensor) -> Tensor:
    shown = ResidentDataset(images=images, labels=data.labels, spec=data.spec)
    return predict(model, shown)[:, : data.spec.num_classes].nan_to_num().argmax(1)


def _student(name: str, width: float, data: ResidentDataset) -> nn.Module | None:
    try:
        return build(name, data.spec, width=width).to(data.device)
    except ValueError:
        # A picture may be too small for a convolutional network.
        return None


def _teach(student: nn.Module, images: Tensor, answers: Tensor, generator: torch.Generator) -> None:
    """By Adam (Kingma & Ba 2015), written out: torch's own loads its compiler first."""
    weights = list(student.parameters())
    means = [torch.zeros_like(each) for each in weights]
    squares = [torch.zeros_like(each) for each in weights]
    lately: Tensor | float = 0.0
    # Of a few images no batch need hold more than there are.
    batch = min(BATCH, len(images))
    for step in range(1, STEPS + 1):
        rows = torch.randint(len(images), (batch,), generator=generator).to(images.device)
        loss = cross_entropy(student(images[rows]), answers[rows]).mean()
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, gradient, mean, square in zip(weights, gradients, means, squares, strict=True):
                mean.lerp_(gradient, 1 - MEMORY)
                square.mul_(LONG_MEMORY).addcmul_(gradient, gradient, value=1 - LONG_MEMORY)
                scale = (square / (1 - LONG_MEMORY**step)).sqrt_().add_(1e-8)
                weight.addcdiv_(mean, scale, value=-RATE / (1 - MEMORY**step))
            lately = lately + loss.detach() / LOOKED
        if step % LOOKED == 0:
            if lately < FITS:
                break
            lately = 0.0
