"""Short texts as numbered characters: a csv with a text and a class a row, or prose against code as installed here."""

from __future__ import annotations

import ast
import csv
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

ALPHABET = " abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'\"()[]{}<>=+-*/_#@%&$\\|~^`\n"
"""Characters by their number; any other is shown as a space, and capitals as small letters."""
COLUMNS = ("text", "label")


class Texts(NamedTuple):
    characters: Tensor
    """(N, length), indices into ALPHABET."""
    labels: Tensor
    classes: tuple[str, ...]


def numbered(texts: list[str], length: int) -> Tensor:
    """(N, length): cut off, or filled up with spaces."""
    numbers = {character: number for number, character in enumerate(ALPHABET)}
    rows = [[numbers.get(character, 0) for character in text.lower()[:length].ljust(length)] for text in texts]
    return torch.tensor(rows)


def written(characters: Tensor) -> str:
    """One row as text again."""
    return "".join(ALPHABET[number] for number in characters.tolist())


def read_texts(path: Path, *, length: int = 64) -> Texts:
    """A csv whose first row is `text,label`; classes in the order of the alphabet."""
    texts, labels = [], []
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        header = [name.strip() for name in next(rows, [])]
        if missing := [name for name in COLUMNS if name not in header]:
            raise ValueError(f"{path}, row 1: the column {missing[0]} is missing, found {','.join(header)[:80]!r}")
        for row in rows:
            if len(row) != len(header):
                raise ValueError(f"{path}, row {rows.line_num}: expected {len(header)} cells, found {len(row)}")
            text, label = (row[header.index(name)].strip() for name in COLUMNS)
            for name, value in zip(COLUMNS, (text, label), strict=True):
                if not value:
                    raise ValueError(f"{path}, row {rows.line_num}, column {name}: must not be empty")
            texts.append(text)
            labels.append(label)
    classes = tuple(sorted(set(labels)))
    if len(classes) < 2:
        raise ValueError(f"{path}: column label must name at least 2 classes, found {', '.join(classes) or 'none'}")
    return Texts(numbered(texts, length), torch.tensor([classes.index(label) for label in labels]), classes)


def prose_and_code(*, length: int = 64, files: int = 60) -> tuple[Texts, Texts]:
    """(training, test) pieces of scikit-learn's own files: what its docstrings say against what its code does.

    No file gives pieces to both.
    """
    import sklearn

    found = sorted(Path(sklearn.__file__).parent.glob("*/_*.py"), key=lambda path: -path.stat().st_size)[:files]
    parts = (found[1::5], [path for number, path in enumerate(found) if number % 5 != 1])
    test, train = (_pieces(part, length) for part in parts)
    return train, test


def _pieces(paths: list[Path], length: int) -> Texts:
    pieces: list[str] = []
    labels: list[int] = []
    for path in paths:
        for label, text in enumerate(_halves(path.read_text(encoding="utf-8"))):
            cut = [text[start : start + length] for start in range(0, len(text) - length, length)]
            pieces += cut
            labels += [label] * len(cut)
    return Texts(numbered(pieces, length), torch.tensor(labels), ("prose", "code"))


def _halves(source: str) -> tuple[str, str]:
    """All docstrings of a module, and its code without them, each with runs of blanks as one."""
    tree = ast.parse(source)
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef
    holders = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    prose = [ast.get_docstring(node) or "" for node in holders]
    for node in holders:
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tuple(" ".join(text.split()) for text in (" ".join(prose), ast.unparse(tree)))  # type: ignore[return-value]
