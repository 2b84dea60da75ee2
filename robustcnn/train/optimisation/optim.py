"""Optimisers, and schedules of their learning rate and momentum as functions of the progress from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from robustcnn.core.plain_data import did_you_mean
from robustcnn.train.freezing import head_of

OptimizerName = Literal["sgd", "nesterov", "adam", "adamw"]
Schedule = Literal["constant", "linear", "cosine", "one-cycle", "steps"]


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """How the weights move."""

    name: OptimizerName = "nesterov"
    """`sgd` (with momentum 0: plain gradient descent), `nesterov`, `adam`, or `adamw` (decays weights by default)."""
    lr: float = 0.05
    """Learning rate; the highest one of a schedule."""
    trunk_lr: float = 1.0
    """Of all layers but the last: their learning rate as a share of `lr`, say 0.1 for weights learnt before."""
    schedule: Schedule = "one-cycle"
    """`linear` and `cosine` run to lr_end, `one-cycle` rises and falls, `steps` falls at the milestones."""
    lr_end: float = 0.0
    """Where `linear` and `cosine` end."""
    warmup: float = 0.0
    """Share of the training over which the learning rate first rises linearly from 0."""
    milestones: tuple[float, ...] = (0.5, 0.75)
    """For `steps`: the shares of the training after which the learning rate falls."""
    gamma: float = 0.1
    """For `steps`: the factor it falls by."""
    momentum: float = 0.9
    """Momentum of sgd and nesterov, beta1 of adam."""
    momentum_end: float | None = None
    """When given, momentum moves linearly to this value (0.9 -> 0.999 in the face-keypoint recipe)."""
    weight_decay: float | None = None
    """Decoupled: each step shrinks the weights by lr * weight_decay; by default 0.01 for adamw, 0 for the rest."""

    def __post_init__(self) -> None:
        if self.name not in get_args(OptimizerName):
            raise ValueError(f"unknown optimizer {self.name!r}{did_you_mean(self.name, get_args(OptimizerName))}")
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"unknown schedule {self.schedule!r}{did_you_mean(self.schedule, get_args(Schedule))}")
        if not (self.lr > 0 and math.isfinite(self.lr)):
            raise ValueError(f"lr must be a positive number, got {self.lr:g}")
        if not (self.trunk_lr > 0 and math.isfinite(self.trunk_lr)):
            raise ValueError(
                f"trunk_lr must be a positive share of lr, got {self.trunk_lr:g} (fit.freeze stops layers)"
            )
        if self.lr_end < 0:
            raise ValueError(f"lr_end must not be negative, got {self.lr_end:g}")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a share of the training in [0, 1), got {self.warmup:g}")
        for name, value in (("momentum", self.momentum), ("momentum_end", self.momentum_end or 0.0)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {value:g}")
        if self.name == "nesterov" and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0 (for plain gradient descent choose sgd)")
        if any(not 0 < milestone < 1 for milestone in self.milestones):
            raise ValueError(f"milestones are shares of the training in (0, 1), got {self.milestones}")
        if self.weight_decay is not None and self.weight_decay < 0:
            raise ValueError(f"weight_decay must not be negative, got {self.weight_decay:g}")

    @property
    def decay(self) -> float:
        return self.weight_decay if self.weight_decay is not None else 0.01 if self.name == "adamw" else 0.0

    def lr_at(self, progress: float) -> float:
        """The learning rate when the share `progress` of all steps lies behind."""
        if self.warmup and progress < self.warmup:
            return self.lr * progress / self.warmup
        match self.schedule:
            case "constant":
                return self.lr
            case "steps":
                return self.lr * self.gamma ** sum(progress >= milestone for milestone in self.milestones)
            case "one-cycle":
                return self.lr * self._cycle(progress)
        rest = (progress - self.warmup) / (1 - self.warmup)
        share = 1 - rest if self.schedule == "linear" else (1 + math.cos(math.pi * rest)) / 2
        return self.lr_end + (self.lr - self.lr_end) * share

    def _cycle(self, progress: float) -> float:
        """From 1/25 up to 1 over three tenths of the way, then down to 0, both along a cosine (Smith 2018).

        A warm-up takes the place of the rise.
        """
        rise = self.warmup or 0.3
        if progress < rise:
            share = progress / rise
            return share if self.warmup else 0.04 + 0.96 * (1 - math.cos(math.pi * share)) / 2
        return (1 + math.cos(math.pi * (progress - rise) / (1 - rise))) / 2

    def momentum_at(self, progress: float) -> float:
        """One-cycle lowers the momentum while the learning rate is high; `momentum_end` moves it linearly."""
        if self.momentum_end is not None:
            return self.momentum + (self.momentum_end - self.momentum) * progress
        if self.schedule == "one-cycle":
            return self.momentum * (1 - 0.1 * self._cycle(progress))
        return self.momentum


def weights_of(model: nn.Module) -> list[Tensor]:
    """The parameters that penalties and decay act on: weights, not biases and not normalisation layers'."""
    return _weights(model.parameters())


def _weights(parameters: Iterable[Tensor]) -> list[Tensor]:
    # A coefficient for each map, (maps, 1, 1), is a scale as a normalisation layer's is, whatever its shape.
    scale = (1, 1)
    return [each for each in parameters if each.requires_grad and each.ndim > 1 and tuple(each.shape[1:]) != scale]


class Optimizer:
    """A torch optimiser driven along its schedule, with decoupled weight decay for all of them."""

    def __init__(self, model: nn.Module, config: OptimConfig, *, total_steps: int) -> None:
        self.config = config
        self.total_steps = total_steps
        # Trunk and head in the order of the parameters, so that their number names a parameter with one group or two.
        self.factors = (1.0,) if config.trunk_lr == 1 else (config.trunk_lr, 1.0)
        parts = self._groups(model)
        self.weights = [_weights(part) for part in parts]
        groups = [{"params": part} for part in parts]
        if config.name in ("adam", "adamw"):
            self.torch: torch.optim.Optimizer = torch.optim.Adam(groups, betas=(config.momentum, 0.999), fused=True)
        else:
            nesterov = config.name == "nesterov"
            self.torch = torch.optim.SGD(groups, lr=1.0, momentum=config.momentum, nesterov=nesterov, fused=True)

    def step(self, number: int, *, moves: bool = True) -> float:
        """Take step `number` (counted from 0) and clear the gradients; gives its learning rate.

        Where it `moves` nothing, the gradients are only cleared.
        """
        # The first step uses the schedule's start and the last one exactly its end.
        progress = number / max(1, self.total_steps - 1)
        rate, momentum = self.config.lr_at(progress), self.config.momentum_at(progress)
        for group, weights, factor in zip(self.torch.param_groups, self.weights, self.factors, strict=True):
            group["lr"] = factor * rate
            group.update({"betas": (momentum, 0.999)} if "betas" in group else {"momentum": momentum})
            if weights and self.config.decay and moves:
                with torch.no_grad():
                    torch._foreach_mul_(weights, 1 - factor * rate * self.config.decay)
        if moves:
            self.torch.step()
        self.torch.zero_grad(set_to_none=True)
        return rate

    def state(self) -> dict[str, Tensor]:
        """Its running averages as named tensors."""
        state = self.torch.state_dict()["state"]
        return {
            f"{index}.{key}": value
            for index, entry in state.items()
            for key, value in entry.items()
            if value is not None
        }

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        entries: dict[int, dict[str, Tensor]] = {}
        parameters = [parameter for group in self.torch.param_groups for parameter in group["params"]]
        for name, tensor in tensors.items():
            index, key = name.split(".", 1)
            parameter = parameters[int(index)]
            # Fused steps walk raw memory: an average must be laid out as its parameter is (channels-last, say).
            laid_out = torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor
            entries.setdefault(int(index), {})[key] = laid_out
        self.torch.load_state_dict({"state": entries, "param_groups": self.torch.state_dict()["param_groups"]})

    def _groups(self, model: nn.Module) -> list[list[nn.Parameter]]:
        moving = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        if len(self.factors) == 1:
            return [list(moving.values())]
        head = head_of(model)
        in_head = [name.rpartition(".")[0] == head for name in moving]
        return [[each for each, mine in zip(moving.values(), in_head, strict=True) if mine == part] for part in (0, 1)]
