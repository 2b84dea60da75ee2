"""Texts as numbered characters."""

from __future__ import annotations

from pathlib import Path

import pytest

from robustcnn.data.sets.texts import numbered, prose_and_code, read_texts, written


def test_a_text_comes_back_in_small_letters_and_as_long_as_asked() -> None:
    assert written(numbered(["Hello, World! Ω"], 18)[0]) == "hello, world!     "
    assert written(numbered(["abcdef"], 3)[0]) == "abc"


def test_a_csv_gives_texts_and_classes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('label,text\nspam,"win, now"\nham,hello\nspam,more\n')
    texts = read_texts(path, length=8)
    assert texts.classes == ("ham", "spam")
    assert texts.labels.tolist() == [1, 0, 1]
    assert written(texts.characters[0]) == "win, now"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("words,label\na,b\n", "row 1: the column text is missing"),
        ("text,label\na,b\nc\n", "row 3: expected 2 cells, found 1"),
        ("text,label\na,b\n,c\n", "row 3, column text: must not be empty"),
        ("text,label\na,b\nc,b\n", "column label must name at least 2 classes, found b"),
    ],
)
def test_a_wrong_csv_is_named_by_file_row_column_and_rule(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"t\.csv.*{says}"):
        read_texts(path)


def test_prose_and_code_are_told_apart_by_what_they_hold() -> None:
    train, test = prose_and_code(files=6)
    assert train.classes == ("prose", "code")
    assert min(len(train.labels), len(test.labels)) > 100
    equals = numbered(["="], 1)[0, 0]
    prose, code = ((train.characters[train.labels == kind] == equals).double().mean() for kind in (0, 1))
    assert code > 4 * prose
