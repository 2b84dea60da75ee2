"""How processes that were launched together find each other, and part."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from robustcnn.core.launch import EndedElsewhere, Launch, Parted, launched
from robustcnn.core.ranks import ALONE, CHORE, Group, Ranks, short

MEETING = timedelta(minutes=2)
"""How long a process waits for the others to begin."""


@contextmanager
def joined() -> Iterator[Ranks]:
    """Inside the block the processes that a launcher has started are one group; a process alone is `ALONE`."""
    launch = launched()
    if launch.world == 1:
        yield ALONE
        return
    _join(launch)
    try:
        yield Group(launch)
        # Nobody takes a connection down that another one still reads from.
        dist.barrier()
    except EndedElsewhere:
        # Whoever ends first has torchrun end the others, who shall have told their trouble by then.
        with suppress(Exception):
            dist.barrier()
        raise
    finally:
        dist.destroy_process_group()


def _join(launch: Launch) -> None:
    """Have all processes in one group."""
    me = f"rank {launch.rank} of {launch.world}"
    try:
        store, rank, world = next(iter(rendezvous("env://", timeout=MEETING)))
        name = meet(store, launch)
        dist.init_process_group("gloo", store=PrefixStore(name, store), rank=rank, world_size=world, timeout=CHORE)
    except (RuntimeError, ValueError, OSError) as problem:
        if isinstance(problem, Parted):
            raise
        raise Parted(
            f"{me} cannot reach the others ({short(problem)}): one ended as it began, or MASTER_ADDR and MASTER_PORT "
            "lead elsewhere"
        ) from problem


def meet(store: Any, launch: Launch) -> str:
    """Wait until all are there; gives the name of this meeting.

    torchrun keeps its store when it starts the processes again: what is written there may be from those that ended,
    whose addresses lead nowhere. So the first asks under a name of its own, and whoever answers wants to be named.
    """
    mine, end = uuid.uuid4().hex, time.monotonic() + MEETING.total_seconds()
    if launch.rank == 0:
        store.set("meeting", mine)
    # Asked again and again, and not waited for, so that Ctrl-C is heard.
    while time.monotonic() < end:
        name = mine if launch.rank == 0 else _text(store, "meeting")
        if name and launch.rank == 0:
            there = {rank: _text(store, f"{mine}/{rank}") for rank in range(1, launch.world)}
            if all(there.values()):
                store.set(f"{mine}/all", json.dumps(there))
                return mine
        elif name:
            store.set(f"{name}/{launch.rank}", mine)
            if json.loads(_text(store, f"{name}/all") or "{}").get(str(launch.rank)) == mine:
                return name
        time.sleep(0.05)
    absent = [rank for rank, answer in there.items() if not answer] if launch.rank == 0 else [0]
    raise Parted(
        f"rank {launch.rank} of {launch.world} waited {MEETING.total_seconds():.0f} s in vain for rank "
        f"{', '.join(map(str, absent[:8]))}: it ended as it began, or was never started"
    )


def _text(store: Any, key: str) -> str:
    return str(store.get(key).decode()) if store.check([key]) else ""
