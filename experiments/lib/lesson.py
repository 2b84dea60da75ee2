"""One experiment to be shown: its table, its pictures and its run in MLflow, all in one folder."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from PIL import Image

from lib.opening import options, read, say_machine
from robustcnn.report.plots import Figure, png
from robustcnn.tracking import NullTracker, SpooledTracker, Tracker


def lesson_options(doc: str | None, name: str) -> argparse.ArgumentParser:
    parser = options(doc)
    parser.add_argument("--seed", type=int, default=0)
    # Beside the runs of the command line, so that all of them are in one MLflow store.
    out = Path("mlruns/checkpoints") / f"lecture-{name}"
    parser.add_argument("--out", type=Path, default=out, help="folder of table and pictures")
    parser.add_argument("--track", action=argparse.BooleanOptionalAction, default=True, help="show the run in MLflow")
    return parser


def lesson_arguments(parser: argparse.ArgumentParser, **quick: object) -> argparse.Namespace:
    """As `read`; what --quick finds goes to a folder of its own."""
    out = parser.get_default("out")
    return read(parser, out=out.with_name(f"{out.name}-quick"), **quick)


class Lesson:
    """What is printed is kept as Markdown too, what is drawn as PNG, what is measured as metrics."""

    def __init__(self, args: argparse.Namespace, *facts: object) -> None:
        self.folder, self._lines = args.out, list[str]()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tracker: Tracker = SpooledTracker(self.folder, experiment="lectures") if args.track else NullTracker()
        self.tracker.config({name: str(value) for name, value in vars(args).items() if name not in ("out", "track")})
        say_machine(f"seed {args.seed}", *facts)

    def head(self, *names: object) -> None:
        self.say(f"| {' | '.join(map(str, names))} |\n|{'---|' * len(names)}")

    def row(self, *cells: object) -> None:
        self.say(f"| {' | '.join(map(str, cells))} |")

    def say(self, text: str = "") -> None:
        print(text, flush=True)
        self._lines.append(text)

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        self.tracker.metrics(values, step=step)

    def picture(self, name: str, picture: Figure | Image.Image) -> None:
        """Kept in the folder, and with the run."""
        path = self.folder / f"{name}.png"
        if isinstance(picture, Figure):
            path.write_bytes(png(picture))
        else:
            picture.save(path)
        self.tracker.artifact(path.name)

    def __enter__(self) -> Self:
        self.tracker.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            (self.folder / "table.md").write_text("\n".join(self._lines) + "\n")
            self.tracker.artifact("table.md")
            print(f"\ntable and pictures: {self.folder}")
        self.tracker.__exit__(kind, problem, trace)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"
