"""The networks that `22_swift.py` judges, and those that Swift's constants were chosen on: small, trained in a minute.

    python experiments/22_swift.py --nets tuning        trains them too

No judged network was looked at while a constant was chosen: the others have other data, other seeds or both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robustcnn import FitConfig, OptimConfig, ResidentDataset, build, fit, load, load_checkpoint
from robustcnn.attacks import square
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.core.threat import NormName, ThreatModel
from robustcnn.data.registry import DataConfig
from robustcnn.defences import Squeezed
from robustcnn.models import ModelConfig
from robustcnn.models.checkpoint import PAGE
from robustcnn.train import Adversarial, Free, Mixture, Standard, Trades
from robustcnn.train.settings import AnyObjective

FOLDER = Path("mlruns/experiment-22/nets")


class KWinners(nn.Module):
    """Keeps the largest tenth of an example's activations (Xiao et al. 2020): a slope that jumps, and hides much."""

    def forward(self, values: Tensor) -> Tensor:
        flat = values.flatten(1)
        least = flat.topk(max(1, flat.shape[1] // 10), dim=1).values[:, -1:]
        return torch.where(flat >= least, flat, 0).view_as(values)


class Steep(nn.Module):
    """Pixels through a steep sigmoid first, whose slope all but vanishes at black and white."""

    def __init__(self, model: nn.Module, steepness: float) -> None:
        super().__init__()
        self.model, self.steepness = model, steepness

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(0.5 + 0.5 * torch.tanh(self.steepness * (images - 0.5)))
        return logits


def with_winners(model: nn.Module) -> nn.Module:
    """The same network with its ReLUs replaced."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, KWinners())
    return model


@dataclass(frozen=True, kw_only=True, slots=True)
class Net:
    """One network: what it has learnt from, against what, and the ball that it is judged in."""

    data: str
    eps: float
    norm: NormName = "linf"
    objective: Callable[[ThreatModel], AnyObjective] = lambda _: Standard()
    trained_eps: float | None = None
    awp: float = 0.0
    epochs: int = 5
    images: int = 4_000
    width: float = 0.125
    size: int | None = None
    seed: int = 0
    inside: Callable[[nn.Module], nn.Module] | None = None
    """Changed before the training."""
    behind: Callable[[nn.Module], nn.Module] | None = None
    """A defence put in front of the trained network."""
    of: str = ""
    """The network that is defended, where it is another of the list."""

    @property
    def threat(self) -> ThreatModel:
        return ThreatModel(norm=self.norm, eps=self.eps)

    @property
    def source(self) -> DataConfig:
        return DataConfig(name=self.data, limit=self.images, size=self.size)

    def fit(self) -> FitConfig:
        threat = replace(self.threat, eps=self.trained_eps or self.eps)
        optim = OptimConfig(name="adam", lr=2e-3, schedule="cosine", warmup=0.05)
        return FitConfig(
            epochs=self.epochs,
            batch_size=64,
            optim=optim,
            objective=self.objective(threat),
            awp=self.awp,
            watch=0,
            seed=self.seed,
        )


def pgd(threat: ThreatModel) -> Adversarial:
    return Adversarial(threat=threat, steps=5, warmup=0.3)


def trades(threat: ThreatModel) -> Trades:
    return Trades(threat=threat, steps=5, beta=6.0, warmup=0.3)


JUDGED: dict[str, Net] = {
    "fashion-trades": Net(data="fashion-mnist", eps=0.1, objective=trades),
    "mnist-pgd": Net(data="mnist", eps=0.25, objective=pgd, images=8_000, epochs=8),
    "fashion-fgsm": Net(data="fashion-mnist", eps=0.1, objective=lambda threat: Mixture(threat=threat), epochs=8),
    "signs-pgd": Net(data="signs", eps=8 / 255, objective=pgd, images=3_000, epochs=7),
    "cifar10-trades": Net(data="cifar10", eps=8 / 255, objective=trades, images=5_000, epochs=6),
    "fashion-l2": Net(data="fashion-mnist", eps=1.0, norm="l2", objective=trades),
    "fashion-winners": Net(data="fashion-mnist", eps=0.05, inside=with_winners, epochs=5),
    "fashion-squeezed": Net(
        data="fashion-mnist", eps=0.1, of="fashion-trades", behind=lambda net: Squeezed(net, bits=3)
    ),
    "fashion-awp": Net(data="fashion-mnist", eps=0.1, objective=pgd, awp=0.005),
    "fashion-free": Net(data="fashion-mnist", eps=0.1, objective=lambda threat: Free(threat=threat, replays=4)),
    "mnist-l2": Net(data="mnist", eps=2.0, norm="l2", objective=pgd, images=3_000),
    "mnist-plain": Net(data="mnist", eps=0.08, epochs=4),
    "fashion-steep": Net(data="fashion-mnist", eps=0.1, of="fashion-awp", behind=lambda net: Steep(net, 12)),
    "fashion-l1": Net(data="fashion-mnist", eps=10.0, norm="l1", of="fashion-l2"),
}
TUNING: dict[str, Net] = {
    "digits-plain": Net(data="digits", eps=0.05, epochs=15),
    "digits-pgd": Net(data="digits", eps=0.1, objective=pgd, epochs=30),
    "digits-trades": Net(data="digits", eps=0.1, objective=trades, epochs=25, seed=1),
    "digits-l2": Net(data="digits", eps=1.5, norm="l2", objective=pgd, epochs=25, seed=2),
    "tune-fashion-pgd": Net(data="fashion-mnist", eps=0.08, objective=pgd, images=5_000, seed=7),
    "tune-mnist-trades": Net(data="mnist", eps=0.25, objective=trades, images=5_000, seed=7),
    "tune-signs-free": Net(
        data="signs",
        eps=6 / 255,
        objective=lambda threat: Free(threat=threat, replays=4),
        images=4_000,
        epochs=6,
        seed=7,
    ),
    "digits-winners": Net(data="digits", eps=0.05, inside=with_winners, epochs=15, seed=3),
    "tune-steep": Net(data="fashion-mnist", eps=0.08, of="tune-fashion-pgd", behind=lambda net: Steep(net, 8)),
    "tune-steeper": Net(data="fashion-mnist", eps=0.08, of="tune-fashion-pgd", behind=lambda net: Steep(net, 30)),
    "tune-squeezed": Net(
        data="fashion-mnist", eps=0.08, of="tune-fashion-pgd", behind=lambda net: Squeezed(net, bits=4)
    ),
    "tune-l1": Net(data="digits", eps=6.0, norm="l1", of="digits-l2"),
}
NETS = JUDGED | TUNING


def network(name: str, folder: Path = FOLDER) -> nn.Module:
    """The network, trained where it has not been yet."""
    net = NETS[name]
    if net.of:
        model = network(net.of, folder)
    else:
        if not (folder / name / PAGE).is_file():
            _train(net, folder / name)
        model = load_checkpoint(folder / name, which="last")
    for change in (net.inside, net.behind):
        model = change(model) if change else model
    return model.eval()


def _train(net: Net, folder: Path) -> None:
    train, validation, _ = load(net.source)
    with global_seed(net.seed):
        model = build(ModelConfig(name="smallcnn", width=net.width), train.spec)
    if net.inside:
        net.inside(model)
    for _ in fit(model, train, validation.subset(torch.arange(min(200, len(validation)))), net.fit(), folder=folder):
        pass


def examples(name: str, count: int) -> ResidentDataset:
    """The first test examples of an order of their own."""
    test = load(NETS[name].source).test
    return test.subset(torch.randperm(len(test), generator=seeded(0))[:count])


class Passes:
    """Counts, inside the block, the images that go through a network; those that a gradient is taken of count twice."""

    def __init__(self, view: nn.Module) -> None:
        self.view, self.count = view, 0

    def __enter__(self) -> Passes:
        self.hook = self.view.register_forward_pre_hook(self._see)
        self.incremental_forward = square.incremental_forward
        square.incremental_forward = self._counting  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        self.hook.remove()
        square.incremental_forward = self.incremental_forward  # type: ignore[assignment]

    def _counting(self, *args: Any) -> Any:
        """Square's short way past the network: a window shown is an image shown."""
        look = self.incremental_forward(*args)
        return look and _CountedLook(look, self)

    def _see(self, _: nn.Module, shown: tuple[Tensor, ...]) -> None:
        self.count += len(shown[0]) * (2 if shown[0].requires_grad else 1)


class _CountedLook:
    def __init__(self, look: Any, passes: Passes) -> None:
        self.look, self.passes = look, passes

    def __call__(self, window: Tensor, place: Any) -> Tensor:
        self.passes.count += len(window)
        logits: Tensor = self.look(window, place)
        return logits

    def settle(self, *args: Any) -> None:
        self.look.settle(*args)


def chosen(names: Sequence[str]) -> list[str]:
    """`judged`, `tuning` and `all` are lists of networks."""
    groups = {"judged": list(JUDGED), "tuning": list(TUNING), "all": list(NETS)}
    return [each for name in names for each in groups.get(name, [name])]
