"""How every experiment begins: its options, --quick among them, and the line that says on what it was measured."""

from __future__ import annotations

import argparse

import torch

from lib.bench import machine


def options(doc: str | None) -> argparse.ArgumentParser:
    """A parser that explains itself by the script's own words."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="in small, on embedded data, to see it work: its figures mean little"
    )
    return parser


def read(parser: argparse.ArgumentParser, **quick: object) -> argparse.Namespace:
    """What the command line says; with --quick these values instead of the usual defaults."""
    arguments = parser.parse_args()
    if arguments.quick:
        parser.set_defaults(**quick)
        arguments = parser.parse_args()
    torch.set_num_threads(1)
    return arguments


def say_machine(*facts: object) -> None:
    """One thread is what everything here is measured on, unless a GPU is at hand."""
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else machine()
    print(", ".join([where, f"torch {torch.__version__}", "1 thread", *map(str, facts)]) + "\n", flush=True)


def table_head(*names: object) -> None:
    print(f"| {' | '.join(map(str, names))} |\n|{'---|' * len(names)}", flush=True)


def table_row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)
