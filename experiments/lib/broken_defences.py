"""Defences that hide how weak a network is, each wrapped round one that was trained as usual; none makes it robust."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from robustcnn import FitConfig, OptimConfig, ResidentDataset, build, defences, fit
from robustcnn.attacks import APGD, PGD, Attack, Square
from robustcnn.core.runtime import global_seed
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import as_pixels

Change = Callable[[Tensor], Tensor]


class Wrapped(nn.Module):
    """A network with something done to its pictures or to its answers."""

    def __init__(self, net: nn.Module, *, before: Change | None = None, after: Change | None = None) -> None:
        super().__init__()
        self.net, self.before, self.after = net, before, after

    def forward(self, images: Tensor) -> Tensor:
        logits = self.net(self.before(images) if self.before else images)
        return self.after(logits) if self.after else logits


class Turned(torch.autograd.Function):
    """Leaves values as they are and turns gradients round."""

    @staticmethod
    def forward(ctx: object, images: Tensor) -> Tensor:  # noqa: ARG004
        return images.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # noqa: ARG004
        return -gradient


class Winners(nn.Module):
    """Only the greatest tenth of a layer's outputs passes (Xiao et al. 2020)."""

    def forward(self, maps: Tensor) -> Tensor:
        flat = maps.flatten(1)
        least = flat.topk(max(flat.shape[1] // 10, 1), dim=1).values[:, -1:]
        return (flat * (flat >= least)).view_as(maps)


class Stairs(nn.Module):
    """A ReLU in steps of a half."""

    def forward(self, maps: Tensor) -> Tensor:
        return (2 * maps.relu()).floor() / 2


class Forgetful(nn.Module):
    """After so many calls it answers as another network would."""

    def __init__(self, net: nn.Module, calls: int = 60) -> None:
        super().__init__()
        self.net, self.calls = net, calls

    def forward(self, images: Tensor) -> Tensor:
        self.calls -= 1
        logits: Tensor = self.net(images)
        return logits if self.calls > 0 else logits + 3 * torch.cos(7 * logits)


class Detecting(nn.Module):
    """Falls back on a blurred picture where the picture is rougher than its class uses to be."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        calm = F.avg_pool2d(images, 3, stride=1, padding=1)
        rough = ((images - calm).abs().flatten(1).mean(1) > 0.05)[:, None]
        with torch.no_grad():
            safe = self.net((4 * calm).round() / 4)
        logits: Tensor = torch.where(rough, safe, self.net(images))
        return logits


class OffGrid(nn.Module):
    """Pictures between the grey levels are not shown to the network as they are."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        levels = 255 * images
        off = ((levels - levels.round()).abs().flatten(1).amax(1) > 1e-2).view(-1, 1, 1, 1)
        calm = (3 * F.avg_pool2d(images, 5, stride=1, padding=2)).round() / 3
        logits: Tensor = self.net(torch.where(off, calm.detach(), images))
        return logits


class InCompany(nn.Module):
    """Normalises each picture by the whole batch."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images - 0.5 * (images.mean(0, keepdim=True) - images.mean()))
        return logits


class Prototypes(nn.Module):
    """Each patch of four pixels becomes the nearest of 32 that the training pictures are made of."""

    def __init__(self, net: nn.Module, train: ResidentDataset) -> None:
        super().__init__()
        self.net = net
        patches = F.unfold(next(train.batches(64))[0], 2, stride=2).transpose(1, 2).flatten(0, 1)
        self.register_buffer("codes", patches[:: len(patches) // 32][:32])

    def forward(self, images: Tensor) -> Tensor:
        patches = F.unfold(images, 2, stride=2).transpose(1, 2)
        nearest = torch.cdist(patches, self.codes.expand(len(images), -1, -1)).argmin(2)
        pieced = F.fold(self.codes[nearest].transpose(1, 2), images.shape[2:], 2, stride=2)
        logits: Tensor = self.net(pieced)
        return logits


def resized(images: Tensor) -> Tensor:
    """Shrunk by up to a quarter and put anywhere (Xie et al. 2018)."""
    size = images.shape[2]
    small = int(torch.randint(3 * size // 4, size + 1, ()))
    left, top = (int(torch.randint(size - small + 1, ())) for _ in range(2))
    shown = F.interpolate(images, size=(small, small), mode="nearest")
    return F.pad(shown, (left, size - small - left, top, size - small - top))


def saved(images: Tensor) -> Tensor:
    """Through a JPEG file, picture by picture."""
    files = []
    for image in images.detach().cpu():
        levels = (255 * image).round().byte().permute(1, 2, 0).numpy()
        file = io.BytesIO()
        Image.fromarray(levels.squeeze(-1) if levels.shape[-1] == 1 else levels).save(file, "JPEG", quality=40)
        opened = np.asarray(Image.open(file), dtype=np.float32) / 255
        files.append(torch.from_numpy(opened.reshape(levels.shape)).permute(2, 0, 1))
    return torch.stack(files)


def rough(logits: Tensor) -> Tensor:
    """With ripples so steep that every slope is theirs."""
    return logits + 0.3 * torch.sin(300 * logits.flip(1))


def misled(images: Tensor) -> Tensor:
    """Eight levels, and the slope of something else."""
    other = images.flip(3)
    return other + ((7 * images).round() / 7 - other).detach()


def hooked(images: Tensor) -> Tensor:
    shown = images + 0
    if shown.requires_grad:
        shown.register_hook(lambda gradient: gradient.roll(3, 3))
    return shown


BEFORE: dict[str, Change] = {
    "8 grey levels": lambda images: (7 * images).round() / 7,
    "threshold": lambda images: (images > 0.5).float(),
    "ripple": lambda images: images + 0.03 * (150 * images).sin(),
    "steep tanh": lambda images: 0.5 + 0.5 * (40 * (images - 0.5)).tanh(),
    "random noise": lambda images: images + 0.25 * torch.randn_like(images),
    "random size": resized,
    "random pixels": lambda images: images * (torch.rand_like(images) > 0.3),
    "detached": lambda images: images.detach(),
    "half detached": lambda images: images.detach() + 0.05 * (images - images.detach()).flip(2),
    "gradient turned": lambda images: Turned.apply(images),
    "gradient hooked": hooked,
    "slope of another": misled,
    "JPEG file": saved,
    "clamp": lambda images: (1.2 * images - 0.1).clamp(0, 1),
    "bytes": lambda images: ((255 * images).byte() & 0xE0).float() / 255,
    "median": lambda images: images * 0.1 + (_median(images) - images * 0.1).detach(),
    "table": lambda images: torch.linspace(0, 1, 6)[(5 * images).round().long()],
}
AFTER: dict[str, Change] = {
    "softmax out": lambda logits: logits.softmax(1),
    "logits x 100,000": lambda logits: 1e5 * logits,
    "rounded logits": lambda logits: logits.round() + 1e-6 * logits,
    "shattered logits": rough,
    "class alone": lambda logits: F.one_hot(logits.argmax(1), logits.shape[1]) * 10 + 1e-3 * logits.sin(),
    "saturated": lambda logits: 10 * (3 * logits).tanh() + 1e-4 * logits,
}


def _median(images: Tensor) -> Tensor:
    windows = F.pad(images, (1, 1, 1, 1), mode="replicate").unfold(2, 3, 1).unfold(3, 3, 1)
    return windows.flatten(4).median(4).values


def defended(
    net: nn.Module, train: ResidentDataset, validation: ResidentDataset, folder: Path
) -> dict[str, Callable[[], nn.Module]]:
    """How to make each of them, by name; those that have to be trained come from a file where there is one."""
    makers: dict[str, Callable[[], nn.Module]] = {
        name: partial(Wrapped, net, before=change) for name, change in BEFORE.items()
    }
    makers |= {name: partial(Wrapped, net, after=change) for name, change in AFTER.items()}
    makers |= {name: partial(kind, net) for name, kind in KINDS.items()}
    return makers | {
        "prototypes": partial(Prototypes, net, train),
        "stairs": partial(_stepped, net),
        "k winners": partial(_winners, train, validation, folder),
        "distilled": partial(_distilled, train, validation, folder),
    }


KINDS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "detector": Detecting,
    "off-grid detector": OffGrid,
    "keeps state": Forgetful,
    "company": InCompany,
}


def replaced(net: nn.Module, kind: Callable[[], nn.Module]) -> nn.Module:
    """With another activation in place of its ReLUs."""
    for module in net.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, kind())
    return net


def _stepped(net: nn.Module) -> nn.Module:
    return replaced(copy.deepcopy(net), Stairs)


def fitted(
    net: nn.Module, place: Path, train: ResidentDataset, validation: ResidentDataset, objective: object = None
) -> nn.Module:
    """Trained, or as it was kept."""
    file = place.with_suffix(".pt")
    if file.is_file():
        net.load_state_dict(torch.load(file, weights_only=True))
        return net.eval()
    optim = OptimConfig(name="adam", lr=2e-3, schedule="cosine")
    options = {} if objective is None else {"objective": objective}
    config = FitConfig(epochs=15, batch_size=64, optim=optim, watch=0, monitor="valid_accuracy", **options)
    for _ in fit(net, train, validation, config, progress=False):
        pass
    place.parent.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), file)
    return net.eval()


def fresh(train: ResidentDataset) -> nn.Module:
    with global_seed(0):
        return build("smallcnn", train.spec, width=0.25)


def _winners(train: ResidentDataset, validation: ResidentDataset, folder: Path) -> nn.Module:
    return fitted(replaced(fresh(train), Winners), folder / "winners", train, validation)


def _distilled(train: ResidentDataset, validation: ResidentDataset, folder: Path) -> nn.Module:
    alone = defences.Distilled(temperature=100)
    teacher = fitted(fresh(train), folder / "teacher", train, validation, alone)
    pupil = defences.Distilled(teacher=teacher, temperature=100)
    return fitted(fresh(train), folder / "pupil", train, validation, pupil)


def knowing(model: nn.Module, data: ResidentDataset, threat: ThreatModel) -> int:
    """How many examples stand whatever is tried by somebody who knows what was done to the network."""
    images, labels = as_pixels(data.images), data.labels
    standing = _right(model, images, labels)
    push, long = PGD(steps=40, loss="margin"), APGD(steps=50, loss="margin", targets=9)
    settled = (
        [] if _repeats(model, images[:8]) else [(push, Meant(model)), (APGD(steps=40, loss="margin"), Meant(model))]
    )
    tries: list[tuple[Attack, nn.Module]] = [
        *((attack, view) for view in _views(model, images[:1]) for attack in (push, PGD(steps=40, loss="odds"))),
        (APGD(steps=50), model),
        (long, model),
        (PGD(steps=20, eot=10, loss="margin"), model),
        *settled,
        (Square(queries=3000), model),
    ]
    for attack, view in tries:
        rows = standing.nonzero().flatten()
        if len(rows):
            found = threat.project(attack(view, images[rows], labels[rows], threat), images[rows])
            standing[rows] = _right(model, found, labels[rows])
    return int(standing.sum())


def _views(model: nn.Module, images: Tensor) -> list[nn.Module]:
    """The network inside, if it takes the same pictures, and the whole with slopes as if nothing was done to them."""
    net, before = getattr(model, "net", None), getattr(model, "before", None)
    if not hasattr(net, "spec") or net.spec.channels != images.shape[1]:
        return []
    if before is None:
        return [net]
    return [net, Wrapped(net, before=lambda images: images + (before(images) - images).detach())]


class Meant(nn.Module):
    """The mean of twenty draws that are the same at every look."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        with global_seed(1):
            return torch.stack([self.model(images) for _ in range(20)]).mean(0)


@torch.no_grad()
def _repeats(model: nn.Module, images: Tensor) -> bool:
    return bool(torch.equal(model(images), model(images)))


@torch.no_grad()
def _right(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """In the mean of forty looks, for those that draw numbers."""
    looks = 1 if _repeats(model, images[:8]) else 40
    return torch.stack([model(images) for _ in range(looks)]).mean(0).argmax(1) == labels
