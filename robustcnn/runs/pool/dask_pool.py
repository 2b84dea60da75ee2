"""A Dask scheduler, of our own or somebody else's, and what is sent there and comes back."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from typing import Any

from robustcnn.core.runtime import first_line
from robustcnn.runs.folder import Say
from robustcnn.runs.pool.clusters import cluster_of
from robustcnn.runs.pool.labour import same, versions
from robustcnn.runs.pool.parcels import Parcel
from robustcnn.runs.pool.pool_config import PoolConfig

INSTALL = "lists on several processes need Dask: pip install 'robustcnn[dask]'"
TRIES = 3
"""Of a piece: how often it may fail, or take its worker down with it."""
SOON = 1e18
"""Priority of what others wait for."""
LOOK, ALONE = 10.0, 300.0
"""Seconds between two looks for workers, and after which a pool that has none is given up."""
PATIENCE = 60.0
"""Seconds in which a scheduler, or its first worker, has to be there (again)."""
SETTINGS = {
    "distributed.scheduler.allowed-failures": TRIES - 1,
    "distributed.scheduler.worker-ttl": None,
    "distributed.admin.large-graph-warning-threshold": "1TB",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    # On a busy machine a dead worker's successor takes its time: Dask would give the place up, and wait for ever.
    "distributed.deploy.lost-worker-timeout": "1 day",
    # A worker that looks at itself a hundred times a second has less time for its work.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "200ms",
    "distributed.admin.system-monitor.gil.enabled": False,
    # Of trouble with a piece its owner is told; Dask's own pages about it are not wanted.
    "logging.distributed": "critical",
}


class Lost(Exception):
    """What was sent will not come back: the scheduler is gone, or was started anew."""


class Interrupted(Exception):
    """The list was stopped: nothing more is waited for."""


@dataclass(eq=False)
class DaskPool:
    """Connected; threads share it."""

    config: PoolConfig
    say: Say
    client: Any = None
    cluster: Any = None
    stopped: threading.Event = field(default_factory=threading.Event)
    _started: threading.Event = field(default_factory=threading.Event)
    _seen: float = field(default_factory=time.monotonic)
    """When a worker was last there."""
    _looked: float = 0.0
    _trouble: BaseException | None = None
    """Why it could not be started."""
    _era: int = 0
    """Grows with each connection."""
    _parcels: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Called in a thread of its own: whatever does not need the pool may go on meanwhile."""
        if hasattr(signal, "pthread_sigmask"):
            # Workers inherit it: Ctrl-C is heard by this process alone, which ends them. Starting the tracker would
            # let the signal through again.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.cluster = None if self.config.scheduler else cluster_of(self.config, _dask())
            self._connect(0.0)
        except BaseException as problem:
            self._trouble = problem
        self._started.set()

    def ready(self) -> None:
        """Wait for that, and say what stood in its way."""
        while not self._started.wait(0.2):
            if self.stopped.is_set():
                raise Interrupted
        if self._trouble is not None:
            raise self._trouble

    @property
    def size(self) -> int:
        """Workers at the moment."""
        workers = self.client.scheduler_info(n_workers=-1)["workers"] if self.client.status == "running" else ()
        return max(len(workers), 1)

    def look_after(self) -> None:
        """Now and then while one waits: a pool without workers may come to nothing, which has to be said."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked = now
        if self.client.status != "running" or self.client.scheduler_info(n_workers=1)["workers"]:
            self._seen = now
        elif now - self._seen > ALONE:
            raise ConnectionError(
                f"no worker has been there for {ALONE / 60:.0f} minutes: what came back is kept, and the same command "
                "goes on from it (start some workers, or look why they died: is memory short?)"
            )

    @property
    def era(self) -> int:
        return self._era

    def send(
        self,
        work: Callable[..., Any],
        parcels: tuple[Parcel, ...],
        asked: bytes,
        done: Callable[[Any], None],
        *,
        priority: float,
    ) -> Any:
        """Have a worker do this; `done` is called with the future, from another thread, however it ends."""
        self.ready()
        with self._lock:
            futures = [self._sent(each) for each in parcels]
            future = self.client.submit(work, *futures, asked, pure=False, retries=TRIES - 1, priority=priority)
        future.add_done_callback(done)
        return future

    def _sent(self, parcel: Parcel) -> Any:
        if parcel.name not in self._parcels:
            self._parcels[parcel.name] = self.client.submit(
                same, parcel, key=f"{parcel.name}-{self._era}", priority=SOON
            )
        return self._parcels[parcel.name]

    def forget(self, parcels: tuple[Parcel, ...]) -> None:
        """No piece will need these any more; others may still."""
        with self._lock:
            for each in parcels:
                self._parcels.pop(each.name, None)

    def came(self, future: Any) -> Any:
        """What a worker made of it; its exception where it failed."""
        if self.stopped.is_set():
            raise Interrupted
        try:
            if future.status not in ("finished", "error"):
                raise Lost
            return future.result()
        except _losses() as problem:
            raise Lost from problem

    def regain(self, era: int) -> None:
        """Connect anew after a loss in that era, unless another thread has."""
        with self._lock:
            if era != self._era:
                return
            if not self.config.scheduler:
                raise ConnectionError("the cluster's scheduler is gone (the same command goes on from what came back)")
            self.say(f"{self.config.scheduler} is gone: waiting for it to come back")
            with contextlib.suppress(Exception):
                self.client.close(timeout=1)
            self._connect(PATIENCE)
            self._era, self._parcels = self._era + 1, {}

    def _connect(self, patience: float) -> None:
        address, end = self.config.scheduler or self.cluster, time.monotonic() + patience
        while True:
            try:
                self.client = _dask().Client(address, timeout=5, set_as_default=False)
                break
            except (OSError, TimeoutError, ValueError) as problem:
                if self.stopped.is_set():
                    raise Interrupted from None
                if isinstance(problem, ValueError) or time.monotonic() > end:
                    raise ConnectionError(
                        f"the scheduler {self.config.scheduler} cannot be reached: {first_line(problem)[:200]} (is it "
                        "running, and is this its address? dask scheduler prints it)"
                    ) from None
                time.sleep(0.5)
        self._wait_for_worker(end if patience else time.monotonic() + PATIENCE)
        refuse_others(self.client.run(versions), self.say)

    def _wait_for_worker(self, end: float) -> None:
        told = False
        while not self.client.scheduler_info(n_workers=-1)["workers"]:
            if self.stopped.is_set():
                raise Interrupted
            if time.monotonic() > end and self.config.scheduler:
                raise ConnectionError(
                    f"the scheduler {self.config.scheduler} has no worker (start some: dask worker "
                    f"{self.config.scheduler} --nthreads 1 --memory-limit 0)"
                )
            if not told and not self.config.workers:
                self.say("waiting for the first worker")
                told = True
            time.sleep(0.1)


def refuse_others(found: Mapping[str, Mapping[str, str]], say: Say) -> None:
    """Refuse workers that would answer another question; say so where they may round otherwise."""
    ours = versions()
    for worker, theirs in found.items():
        if theirs["robustcnn"] != ours["robustcnn"]:
            raise ValueError(
                f"the worker {worker} has robustcnn {theirs['robustcnn']}, this is {ours['robustcnn']} (install the "
                "same everywhere)"
            )
    odd = sorted({f"{name} {theirs[name]}" for theirs in found.values() for name in ours if theirs[name] != ours[name]})
    if odd:
        say(f"workers have {', '.join(odd)}, this is {ours['torch']}: figures may differ in what rounding decides")


@contextlib.contextmanager
def connected(config: PoolConfig, *, say: Say) -> Iterator[DaskPool]:
    """Workers inside the block; those that were started here end with it."""
    _dask()
    import dask

    with dask.config.set(SETTINGS):
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        pool = DaskPool(config=config, say=say)
        starter = threading.Thread(target=pool.start)
        starter.start()
        try:
            yield pool
        except BaseException:
            pool.stopped.set()
            raise
        finally:
            starter.join()
            for each in (pool.client, pool.cluster):
                with contextlib.suppress(Exception):
                    if each is not None:
                        each.close(timeout=5)


def _losses() -> tuple[type[BaseException], ...]:
    from concurrent.futures import CancelledError

    return (CancelledError, _dask().comm.CommClosedError)


def _dask() -> Any:
    try:
        import distributed
    except ImportError:
        raise ValueError(INSTALL) from None
    return distributed
