"""The same work on every worker of a scheduler: processes that share a folder, and settle the rest among themselves."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from robustcnn.runs.folder import Say
from robustcnn.runs.pool.dask_pool import SOON, DaskPool, connected
from robustcnn.runs.pool.pool_config import PoolConfig

LOOK = 1.0
"""Seconds between two looks whether all is done."""


@contextmanager
def everywhere(config: PoolConfig, folder: Path, *, say: Say) -> Iterator[DaskPool]:
    """Workers that all see the folder, inside the block."""
    with connected(config, say=say) as pool:
        pool.ready()
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder.absolute() / f".seen-{secrets.token_hex(8)}"
        mark.touch()
        try:
            refuse_strangers(pool.client.run(seen, str(mark)), folder.absolute())
        finally:
            mark.unlink()
        yield pool


def seen(mark: str) -> bool:
    """Whether this worker sees that file."""
    return Path(mark).exists()


def refuse_strangers(found: dict[str, bool], folder: Path) -> None:
    """Refuse workers that would keep what they make somewhere else."""
    blind = [worker for worker, sees in found.items() if not sees]
    if blind:
        raise ValueError(
            f"the worker {blind[0]} does not see {folder}, where the study and its runs are kept (share that folder "
            "with all workers under the same path)"
        )


def work_on(pool: DaskPool, work: Callable[[str], None], told: Sequence[str], *, meanwhile: Callable[[], None]) -> None:
    """Have a worker do each; `meanwhile` is called every second. What goes wrong is raised when all have ended."""
    futures = [pool.client.submit(work, each, pure=False, retries=2, priority=SOON) for each in told]
    while any(not each.done() for each in futures):
        time.sleep(LOOK)
        pool.look_after()
        meanwhile()
    meanwhile()
    for each in futures:
        each.result()
