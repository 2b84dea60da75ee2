"""Long searches that go on where they were killed: each loop under way is a frame, and all frames are written together.

A loop opens a `frame` that tells its state, and calls `due` where that state is whole: at the end of a step. A search
that is run again over the same input walks the same way down, and each frame finds what it had been. What lies between
frames is worked out once more, so it must not change what the frames keep. Random numbers go on where they were as
soon as the innermost frame is back.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from robustcnn.core.atomic_files import write_atomically

SECONDS = 10.0
"""Between two writings, at least."""
SHARE = 20
"""A writing may take one in so many seconds."""
State = Mapping[str, Any]
"""Tensors, whole numbers, or None by name."""


@dataclass(eq=False)
class Snapshots:
    """Of one piece of work; `key` says which, so that no other takes it for its own."""

    path: Path
    key: str
    generators: list[torch.Generator] = field(default_factory=list)
    saved: list[tuple[str, State]] = field(default_factory=list)
    """Frames that are not entered yet, the outermost first."""
    random: list[Tensor] = field(default_factory=list)
    stack: list[tuple[str, Callable[[], State]]] = field(default_factory=list)
    written: float = field(default_factory=time.monotonic)
    cost: float = 0.0

    def enter(self, name: str, state: Callable[[], State]) -> State | None:
        """What the frame of this name kept, if it was under way."""
        name = f"{len(self.stack)} {name}"
        self.stack.append((name, state))
        if not self.saved:
            return None
        if self.saved[0][0] != name:
            self.saved = []
            if len(self.stack) > 1:
                self.forget()
                raise RuntimeError(f"{self.path} is of another search than {name} (run the same command again)")
            return None
        found = self.saved.pop(0)[1]
        if not self.saved:
            self._set_random()
        return found

    def look(self) -> None:
        """Write, if it is time to."""
        if self.saved or time.monotonic() - self.written < max(SECONDS, SHARE * self.cost):
            return
        start = time.monotonic()
        self.write()
        self.written = time.monotonic()
        self.cost = self.written - start

    def write(self) -> None:
        tensors = {f"random {number:03d}": each for number, each in enumerate(self._random())}
        frames: list[Any] = []
        for number, (name, state) in enumerate(self.stack):
            told = state()
            tensors |= {f"{number} {key}": each for key, each in told.items() if isinstance(each, Tensor)}
            frames.append([name, {key: each for key, each in told.items() if not isinstance(each, Tensor)}])
        whole = {name: each.detach().cpu().contiguous().clone() for name, each in tensors.items()}
        about = {"key": self.key, "frames": json.dumps(frames)}
        write_atomically(self.path, safetensors.torch.save(whole, metadata=about))

    def read(self, device: torch.device) -> None:
        """What is there of this very work; nothing where it is damaged, or of another."""
        try:
            with safetensors.safe_open(self.path, framework="pt") as file:
                about = file.metadata()
                if about["key"] != self.key:
                    return
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                frames = json.loads(about["frames"])
        except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError):
            return
        self.random = [tensors[name] for name in sorted(tensors) if name.startswith("random ")]
        for number, (name, told) in enumerate(frames):
            start = f"{number} "
            own = {key.removeprefix(start): each.to(device) for key, each in tensors.items() if key.startswith(start)}
            self.saved.append((name, {**told, **own}))

    def forget(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _random(self) -> list[Tensor]:
        of_devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        return [torch.get_rng_state(), *(each.get_state() for each in self.generators), *of_devices]

    def _set_random(self) -> None:
        first, *others = self.random
        torch.set_rng_state(first)
        for generator, state in zip(self.generators, others, strict=False):
            generator.set_state(state)
        if of_devices := others[len(self.generators) :]:
            torch.cuda.set_rng_state_all(of_devices)


_CURRENT: ContextVar[Snapshots | None] = ContextVar("snapshots", default=None)


@contextmanager
def kept_in(snapshots: Snapshots | None) -> Iterator[None]:
    """Inside the block searches are written down and taken up; None: they are not."""
    token = _CURRENT.set(snapshots)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def begin(generator: torch.Generator) -> None:
    """The search that follows draws from this generator; what is there of it is read."""
    current = _CURRENT.get()
    if current is not None:
        current.generators = [generator]
        current.read(generator.device)


@contextmanager
def frame(name: str, state: Callable[[], State]) -> Iterator[State | None]:
    """A loop under way: yields what it kept when it was stopped, or None when it starts."""
    current = _CURRENT.get()
    if current is None:
        yield None
        return
    depth = len(current.stack)
    found = current.enter(name, state)
    try:
        yield found
    finally:
        del current.stack[depth:]


def due() -> None:
    """All frames' states are whole here."""
    current = _CURRENT.get()
    if current is not None:
        current.look()
