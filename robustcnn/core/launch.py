"""What torchrun, or another launcher, tells a process about itself and the others; to be had without torch."""

from __future__ import annotations

import os
from dataclasses import dataclass

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Parted(RuntimeError):
    """The other processes cannot be reached any more, or never came."""


class EndedElsewhere(RuntimeError):
    """All processes end because of what another one has told already."""

    def __init__(self, said: str, *, status: int) -> None:
        super().__init__(said)
        self.status = status
        """What the process at fault exits with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """One of `world` processes that do one thing together."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    """Among the processes of this host."""
    local_world: int = 1
    run: str = ""
    """What torchrun calls this launch; the same after it has restarted the processes."""
    restarts: int = 0
    """How often it has restarted them; it counts with `max_restarts` above 0 only."""
    may_restart: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world:
            raise ValueError(f"RANK must lie in 0..{self.world - 1} (WORLD_SIZE - 1), got {self.rank}")

    @property
    def known(self) -> bool:
        """Whether `run` tells this launch from others; torchrun's own default for several hosts does not."""
        return self.run not in ("", "none")


def launched() -> Launch:
    """As the environment says; one process alone where it says nothing, or not all of it."""
    if any(name not in os.environ for name in NEEDED):
        return Launch()
    return Launch(
        rank=_number("RANK"),
        world=_number("WORLD_SIZE"),
        local_rank=_number("LOCAL_RANK", "0"),
        local_world=_number("LOCAL_WORLD_SIZE", "1"),
        run=os.environ.get("TORCHELASTIC_RUN_ID", ""),
        restarts=_number("TORCHELASTIC_RESTART_COUNT", "0"),
        may_restart=_number("TORCHELASTIC_MAX_RESTARTS", "0") > 0,
    )


def _number(name: str, default: str = "") -> int:
    text = os.environ.get(name, default)
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"the environment variable {name} must be a whole number, got {text[:30]!r}") from None
