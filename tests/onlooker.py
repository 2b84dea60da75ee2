"""A linear model whose answers can be worked out by hand; named `onlooker:linear` on the command line."""

from __future__ import annotations

import torch

from robustcnn.core.spec import ImageSpec
from robustcnn.models import PixelModel, build

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
SPEC = ImageSpec(channels=3, height=8, width=8, classes=("dark", "bright", "reddish"), mean=MEAN, std=STD)


def linear() -> PixelModel:
    """Logits 0, the weighted sum of the normalised pixels, and a third that is far below both on grey pictures."""
    model = build("logistic", SPEC)
    (layer,) = (module for module in model.modules() if isinstance(module, torch.nn.Linear))
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[1] = torch.linspace(0.5, 1.5, layer.in_features) * 0.01
        layer.weight[2, :64] = 0.05
        layer.bias.copy_(torch.tensor([0.0, -0.2, -6.0]))
    return model.eval()


def weights() -> torch.Tensor:
    """Of the second class against the first, (3, 8, 8), in the model's own input range."""
    return (torch.linspace(0.5, 1.5, 192) * 0.01).view(3, 8, 8)
