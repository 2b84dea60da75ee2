"""How ranges are written, and what is refused."""

from __future__ import annotations

import pytest

from robustcnn.runs.ranges import Range, distinct, nested, read_range


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fit.optim.lr=log(1e-4, 1e-1)", Range(path="fit.optim.lr", scale="log", values=(1e-4, 0.1))),
        ("a.b = int(16,128)", Range(path="a.b", scale="int", values=(16.0, 128.0))),
        ("eps=uniform(2/255, 8/255)", Range(path="eps", scale="uniform", values=(2 / 255, 8 / 255))),
        ("x=choice(adam, 3, 0.5)", Range(path="x", scale="choice", values=("adam", 3, 0.5))),
    ],
)
def test_a_range_is_read(text: str, expected: Range) -> None:
    assert read_range(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fit.optim.lr", "cannot read 'fit.optim.lr'"),
        ("lr=logg(1,2)", r"lr: unknown range 'logg' \(did you mean 'log'"),
        ("lr=log(1)", "wants a least and a greatest value, got 1"),
        ("lr=log(0,1)", "wants 0 < least < greatest, got 0 and 1"),
        ("lr=uniform(2,1)", "wants least < greatest, got 2 and 1"),
        ("lr=int(1,2.5)", "wants whole numbers, got 1 and 2.5"),
    ],
)
def test_a_range_that_makes_no_sense_is_one_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_range(text)


def test_an_option_is_varied_once_and_one_at_least() -> None:
    with pytest.raises(ValueError, match="vary names lr twice"):
        distinct([read_range("lr=log(1,2)"), read_range("lr=int(1,2)")])
    with pytest.raises(ValueError, match="at least one option"):
        distinct([])


def test_paths_become_tables() -> None:
    assert nested({"fit.optim.lr": 1, "fit.epochs": 2, "name": "x"}) == {
        "fit": {"optim": {"lr": 1}, "epochs": 2},
        "name": "x",
    }
