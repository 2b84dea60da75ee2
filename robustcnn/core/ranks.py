"""The processes of one training: who leads, what they add up, and how they end together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from robustcnn.core.launch import EndedElsewhere, Launch, Parted
from robustcnn.core.rows import Rows
from robustcnn.core.runtime import first_line

T = TypeVar("T")
STEP = timedelta(seconds=50)
"""How long a process waits in the middle of a step, where all have as much to do."""
CHORE = timedelta(minutes=30)
"""How long it waits while one of them reads, writes or downloads."""


class Ranks:
    """One process alone: nothing to wait for, nobody to ask."""

    rank = 0
    world = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes, logs and draws bars."""
        return self.rank == 0

    def rows(self, total: int) -> Rows:
        """Of a batch of so many, those of this process."""
        return Rows(first=self.rank, step=self.world, total=total)

    def device(self, device: torch.device) -> torch.device:
        """Which one of its kind this process works on."""
        return device

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Make of each tensor the sum over all processes, in place."""

    def gather(self, values: Tensor) -> Tensor:
        """The values of all processes, (world, ...), along which gradients flow back."""
        return values[None]

    def take_over(self, tensors: Sequence[Tensor]) -> None:
        """Make of each tensor that of the first process, in place."""

    def each(self, work: Callable[[], T]) -> T:
        """`work` on every process; where it fails on one, all end, and one of them says why."""
        return work()

    def fail(self, problem: Exception) -> NoReturn:
        """To be called by all, for what has befallen all of them: one says so."""
        self.each(lambda: _raise(problem))
        raise problem

    def first(self, work: Callable[[], T]) -> T:
        """What `work` gives on the first process, on all."""
        return work()

    def in_turn(self, work: Callable[[], T]) -> T:
        """`work` on one process of a host, then on the others there: a download is found by those."""
        return work()

    def alike(self, what: str, value: object) -> None:
        """Refuse to go on where the processes differ in this."""


ALONE = Ranks()


@dataclass(frozen=True, slots=True)
class _Failure:
    line: str
    status: int


class Group(Ranks):
    """One of several processes; to be had from `joined`."""

    def __init__(self, launch: Launch) -> None:
        self.launch, self.rank, self.world = launch, launch.rank, launch.world
        self._groups: dict[str, dist.ProcessGroup] = {}

    def device(self, device: torch.device) -> torch.device:
        if device.type != "cuda":
            return device
        found = torch.cuda.device_count()
        if self.launch.local_world > found:
            raise ValueError(
                f"--nproc-per-node must be at most the GPUs of this host, which are {found}, got "
                f"{self.launch.local_world} (or work on the CPU: --device cpu)"
            )
        torch.cuda.set_device(self.launch.local_rank)
        return torch.device("cuda", self.launch.local_rank)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        if not tensors:
            return
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
        with _together(self):
            dist.all_reduce(flat, group=self._group(flat))
        with torch.no_grad():
            for tensor, sum_ in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
                tensor.copy_(sum_.view(tensor.shape))

    def gather(self, values: Tensor) -> Tensor:
        gathered: Tensor = _Gathered.apply(values, self)
        return gathered

    def take_over(self, tensors: Sequence[Tensor]) -> None:
        with _together(self), torch.no_grad():
            for tensor in tensors:
                sent = tensor.detach().contiguous()
                dist.broadcast(sent, 0, group=self._group(sent))
                tensor.copy_(sent)

    def each(self, work: Callable[[], T]) -> T:
        result, failed = None, None
        try:
            result = work()
        except Exception as problem:
            failed = problem
        told: list[_Failure | None] = self._told(_failure(failed))
        teller = next((rank for rank, failure in enumerate(told) if failure is not None), None)
        if teller is None:
            return result  # type: ignore[return-value]
        if failed is not None and teller == self.rank:
            raise failed
        failure = told[teller]
        assert failure is not None
        raise EndedElsewhere(f"rank {teller} of {self.world}: {failure.line}", status=failure.status)

    def first(self, work: Callable[[], T]) -> T:
        result = self.each(lambda: work() if self.leads else None)
        sent = [result]
        with _together(self):
            dist.broadcast_object_list(sent, 0)
        return sent[0]  # type: ignore[return-value]

    def in_turn(self, work: Callable[[], T]) -> T:
        begins = self.launch.local_rank == 0
        early = self.each(lambda: work() if begins else None)
        late = self.each(lambda: None if begins else work())
        return early if begins else late  # type: ignore[return-value]

    def alike(self, what: str, value: object) -> None:
        values = self._told(value)
        other = next((rank for rank, theirs in enumerate(values) if theirs != values[0]), None)
        if other is not None:
            differ = f"rank 0 has {values[0]} and rank {other} {values[other]}"
            self.fail(ValueError(f"all processes must have the same {what}, but {differ}"))

    def sum(self, tensor: Tensor) -> Tensor:
        """A new tensor with the sum over all processes."""
        total = tensor.detach().contiguous().clone()
        with _together(self):
            dist.all_reduce(total, group=self._group(total))
        return total

    def stacked(self, tensor: Tensor) -> Tensor:
        """A new tensor with those of all processes."""
        mine = tensor.detach().contiguous()
        every = mine.new_empty((self.world, *mine.shape))
        with _together(self):
            dist.all_gather(list(every.unbind()), mine, group=self._group(mine))
        return every

    def _told(self, value: Any) -> list[Any]:
        values: list[Any] = [None] * self.world
        with _together(self):
            dist.all_gather_object(values, value)
        return values

    def _group(self, tensor: Tensor) -> dist.ProcessGroup:
        """Of its own, because what stands still in the middle of a step shall not be waited for as chores are."""
        backend = "nccl" if tensor.is_cuda else "gloo"
        if backend not in self._groups:
            self._groups[backend] = dist.new_group(backend=backend, timeout=STEP)  # type: ignore[assignment]
        return self._groups[backend]


class _Gathered(torch.autograd.Function):
    """What every process has, on each of them."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return group.stacked(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # What all of them made of this process's values.
        return _Summed.apply(gradients[0], ctx.group)[ctx.group.rank], None


class _Summed(torch.autograd.Function):
    """A sum over all processes, whose gradient is one too: so a gradient has a gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return group.sum(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _Summed.apply(gradients[0], ctx.group), None


@contextmanager
def _together(group: Group) -> Iterator[None]:
    """What the processes do together inside the block fails when one of them is gone."""
    try:
        yield
    except (RuntimeError, OSError) as problem:
        raise Parted(
            f"rank {group.rank} of {group.world} waits in vain for another process: it was killed, stands still, or "
            f"cannot be reached ({short(problem)}); the last checkpoint is whole"
        ) from problem


def short(problem: Exception) -> str:
    """Without the place in torch's source, and the advice behind the first sentence."""
    return re.sub(r"^\[[^\]]*\]\s*", "", first_line(problem)).split(". ")[0][:150]


def _raise(problem: Exception) -> NoReturn:
    raise problem


def _failure(problem: Exception | None) -> _Failure | None:
    if problem is None:
        return None
    line = " ".join(str(problem).split())[:500] or type(problem).__name__
    return _Failure(line, 2 if isinstance(problem, ValueError | OSError) else 1)
