"""Networks as their authors write them who have never heard of this package: 3 x 32 x 32 pixels in, 10 logits out."""

from __future__ import annotations

import io
import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Answers = namedtuple("Answers", ["logits", "aux"])


class Tutorial(nn.Module):
    """The network of PyTorch's tutorial on CIFAR-10, whose `view` only takes maps with the channels first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def maps(self, x: Tensor) -> Tensor:
        return self.pool(F.relu(self.conv2(self.pool(F.relu(self.conv1(x))))))

    def head(self, x: Tensor) -> Tensor:
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))

    def forward(self, x: Tensor) -> Any:
        return self.head(self.maps(x).view(-1, 16 * 5 * 5))


class InPlace(Tutorial):
    """Normalises its input in place, and rectifies in place."""

    def forward(self, x: Tensor) -> Any:
        x.sub_(0.5).div_(0.25)
        return super().forward(F.relu_(x + 1) - 1)


class FunctionalDropout(Tutorial):
    def forward(self, x: Tensor) -> Any:
        features = F.dropout(self.maps(x).flatten(1), 0.5, training=self.training)
        return self.head(F.dropout(features, 0.2, training=self.training))


class NormByHand(Tutorial):
    """Reads the buffers and weights of its batch norm itself."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = _settled(nn.BatchNorm2d(6))

    def forward(self, x: Tensor) -> Any:
        norm, maps = self.norm, self.conv1(x)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scaled = (maps - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
        maps = scaled * norm.weight[:, None, None] + norm.bias[:, None, None]
        return self.head(self.pool(F.relu(self.conv2(self.pool(F.relu(maps))))).flatten(1))


class InADict(Tutorial):
    def forward(self, x: Tensor) -> Any:
        return OrderedDict(features=self.maps(x), logits=super().forward(x))


class InATuple(Tutorial):
    def forward(self, x: Tensor) -> Any:
        return Answers(super().forward(x), self.maps(x))


class WithAuxInTraining(Tutorial):
    """As Inception: in training it returns the logits of a second head too."""

    def forward(self, x: Tensor) -> Any:
        logits = super().forward(x)
        return (logits, logits * 0.5) if self.training else logits


class WeightNormed(Tutorial):
    """By torch's old way, of whose results no copy can be made once it has run."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2 = nn.utils.parametrizations.weight_norm(self.conv2)
        self.cached = self.conv2.weight * 1


class SharedLayers(nn.Module):
    """One convolution, used three times with two norms."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.norm, self.other = _settled(nn.BatchNorm2d(16)), _settled(nn.BatchNorm2d(16))
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.again(F.relu(self.first(x)))))
        x = F.relu(self.other(self.again(F.max_pool2d(x, 2))))
        return self.fc(self.again(x).mean((2, 3)))


class Transposed(Tutorial):
    """Whose logits do not lie in one piece in memory."""

    def forward(self, x: Tensor) -> Any:
        return super().forward(x).t().contiguous().t()


class NamesOfOurs(nn.Module):
    """Has methods and attributes by the names that views of ours have, with other meanings."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(7200, 10))
        self.chunk, self.pointwise, self.search, self.plain = "none", True, None, None

    def exact(self, images: Tensor) -> Tensor:
        """Always the same class."""
        return torch.eye(10)[torch.zeros(len(images), dtype=torch.int64)]

    def frozen(self) -> bool:
        return not self.training

    def steps(self) -> int:
        return 3

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images)
        return logits


class Hooked(Tutorial):
    """Whose convolutions answer otherwise than convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2.register_forward_hook(lambda _module, _inputs, maps: maps.clamp(-1, 1) + maps)


def _settled(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    """With statistics and weights as training leaves them, not 0 and 1."""
    for value in (norm.running_mean, norm.bias):
        nn.init.normal_(value, std=0.2)  # type: ignore[arg-type]
    for value in (norm.running_var, norm.weight):
        nn.init.uniform_(value, 0.5, 1.5)  # type: ignore[arg-type]
    return norm


def _scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(Tutorial().eval())


def _exported() -> nn.Module:
    """Stored and read again, for any number of images."""
    images = torch.rand(3, 3, 32, 32)
    program = torch.export.export(Tutorial().eval(), (images,), dynamic_shapes=({0: torch.export.Dim("n")},))
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return torch.export.load(file).module()


@dataclass(frozen=True, kw_only=True)
class Beginners:
    """A network, and the precision in which it computes."""

    make: Callable[[], nn.Module]
    dtype: torch.dtype = torch.float32
    is_fast: bool = True
    """Whether there is a faster way to search with."""


NETWORKS = {
    "tutorial": Beginners(make=Tutorial),
    "in place": Beginners(make=InPlace),
    "functional dropout": Beginners(make=FunctionalDropout),
    "norm by hand": Beginners(make=NormByHand),
    "dict": Beginners(make=InADict),
    "tuple": Beginners(make=InATuple),
    "aux in training": Beginners(make=WithAuxInTraining),
    "data parallel": Beginners(make=lambda: nn.DataParallel(Tutorial())),
    "scripted": Beginners(make=_scripted),
    "exported": Beginners(make=_exported),
    "weight norm": Beginners(make=WeightNormed),
    "shared layers": Beginners(make=SharedLayers),
    "float64": Beginners(make=lambda: Tutorial().double(), dtype=torch.float64),
    "half": Beginners(make=lambda: Tutorial().half(), dtype=torch.float16),
    "transposed logits": Beginners(make=Transposed),
    "names of ours": Beginners(make=NamesOfOurs),
    "hooked": Beginners(make=Hooked),
}
