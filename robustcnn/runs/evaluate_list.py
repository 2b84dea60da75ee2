"""Several evaluations as one list: in turn in this process, or all at once on a pool."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

import robustcnn
from robustcnn.core.runtime import exact_float32
from robustcnn.runs.evaluate import Evaluated, evaluate_model
from robustcnn.runs.evaluate_config import EvaluateConfig
from robustcnn.runs.find_model import Victim
from robustcnn.runs.folder import Say


@dataclass(frozen=True, kw_only=True, eq=False)
class Entrusted:
    """One model and what is asked about it."""

    text: str
    """The model's name, as it was given."""
    find: Callable[[], Victim]
    """Called when its turn comes: a long list need not be in memory."""
    config: EvaluateConfig

    @property
    def title(self) -> str:
        return f"{self.text}, {self.config.title}"


class SomeFailed(RuntimeError):
    """Of a list, some; what was found about the others stands."""


def evaluate_list(
    asked: Sequence[Entrusted], *, say: Say = lambda _: None, told: Callable[[Evaluated], None] = lambda _: None
) -> None:
    """Evaluate all; one that fails does not keep the others from their end. `told` hears of each that is done."""
    problems: list[tuple[Entrusted, Exception]] = []
    if not asked[0].config.pool:
        for each in asked:
            try:
                told(evaluate_model(each.find(), each.config, say=say))
            except Exception as problem:
                problems.append((each, problem))
    else:
        _on_pool(asked, problems, say, told)
    if len(asked) == 1 and problems:
        raise problems[0][1]
    if problems:
        lines = "; ".join(f"{each.title}: {' '.join(str(problem).split())}" for each, problem in problems)
        raise SomeFailed(f"{len(problems)} of {len(asked)} evaluations failed: {lines}")


def _on_pool(
    asked: Sequence[Entrusted],
    problems: list[tuple[Entrusted, Exception]],
    say: Say,
    told: Callable[[Evaluated], None],
) -> None:
    """A thread an evaluation, of which one is at work at a time; as many as keep the pool busy."""
    from robustcnn.runs.pool.dask_pool import Interrupted, connected
    from robustcnn.runs.pool.turn import Turn

    turn = Turn()
    with connected(asked[0].config.pool, say=say) as pool, exact_float32(), _bar() as bar:

        def aloud(line: str) -> None:
            with bar.writing():
                say(line)

        pool.say = aloud

        def one(place: int) -> None:
            each = asked[place]
            with turn.mine():
                if pool.stopped.is_set():
                    raise Interrupted
                told_line: Say = lambda line: aloud(f"{each.title}: {line}" if len(asked) > 1 else line)  # noqa: E731
                crew = _crew(each, pool, turn, bar, place)
                try:
                    done = evaluate_model(each.find(), each.config, crew=crew, say=told_line)
                finally:
                    crew.close()
                with bar.writing():
                    told(done)

        with ThreadPoolExecutor(max_workers=len(asked)) as threads:
            try:
                for place, problem in _ended(threads, one, len(asked), pool):
                    problems.append((asked[place], problem))
            except BaseException:
                pool.stopped.set()
                raise


def _ended(
    threads: ThreadPoolExecutor, one: Callable[[int], None], count: int, pool: Any
) -> Iterator[tuple[int, Exception]]:
    """What went wrong, by place in the list; the first is prepared while the pool starts."""
    waiting, running = deque(range(count)), dict[Future[None], int]()
    while waiting or running:
        while waiting and len(running) < (pool.size + 1 if running else 1):
            place = waiting.popleft()
            running[threads.submit(one, place)] = place
            pool.ready()
        done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
        for future in done:
            place, problem = running.pop(future), future.exception()
            if isinstance(problem, Exception):
                yield place, problem
            elif problem is not None:
                raise problem


def _crew(each: Entrusted, pool: Any, turn: Any, bar: _Bar, place: int) -> Any:
    from robustcnn.runs.pool.crew import PoolCrew
    from robustcnn.runs.pool.parcels import Recipe

    config = each.config
    recipe = Recipe(
        text=each.text, runs=config.runs.absolute(), which=config.which, source=config.source, place=Path.cwd()
    )
    return PoolCrew(
        pool=pool,
        turn=turn,
        recipe=recipe,
        device=config.device,
        threads=config.threads or 1,
        version=robustcnn.__version__,
        place=place,
        expect=bar.expect,
        done=bar.done,
    )


@dataclass(eq=False)
class _Bar:
    """One for all pieces of all evaluations, those that are known of."""

    shown: tqdm
    lock: threading.RLock = field(default_factory=threading.RLock)

    def expect(self, count: int) -> None:
        with self.lock:
            self.shown.total = (self.shown.total or 0) + count
            self.shown.refresh()

    def done(self) -> None:
        with self.lock:
            self.shown.update()

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self.lock, self.shown.external_write_mode():
            yield


@contextmanager
def _bar() -> Iterator[_Bar]:
    with tqdm(total=0, desc="pieces", disable=None) as shown:
        yield _Bar(shown)
