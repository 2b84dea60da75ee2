from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from robustcnn.core.plain_data import from_plain, number, to_plain


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.1
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True, kw_only=True)
class Circle:
    size: float = 1.0
    colour: str = "red"
    name: ClassVar[str] = "circle"


@dataclass(frozen=True, kw_only=True)
class Ring:
    size: float = 2.0
    inner: Inner = field(default_factory=Inner)
    name: ClassVar[str] = "ring"


@dataclass(frozen=True, kw_only=True)
class Picture:
    shape: Circle | Ring = field(default_factory=Circle)


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    size: int | Literal["full"] = 4
    clip: float | None = None
    shares: tuple[float, ...] = ()
    root: Path | None = None
    on: bool = False


def test_a_value_survives_the_way_there_and_back() -> None:
    value = Outer(inner=Inner(rate=0.5, kind="b"), size="full", clip=1.0, shares=(0.5, 0.75), root=Path("x"), on=True)
    assert from_plain(Outer, to_plain(value)) == value


def test_what_is_left_out_keeps_the_base() -> None:
    base = Outer(inner=Inner(rate=0.5, kind="b"), size=7)
    assert from_plain(Outer, {"inner": {"kind": "a"}}, base=base) == Outer(inner=Inner(rate=0.5), size=7)


@pytest.mark.parametrize("shape", [Circle(size=3.0), Ring(inner=Inner(rate=0.5))])
def test_one_of_several_kinds_says_which(shape: Circle | Ring) -> None:
    plain = to_plain(Picture(shape=shape))
    assert plain["shape"]["name"] == shape.name
    assert from_plain(Picture, plain) == Picture(shape=shape)


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ("ring", Ring(size=5.0)),
        ({"name": "ring", "inner": {"rate": 0.5}}, Ring(size=5.0, inner=Inner(rate=0.5))),
        ({"colour": "blue"}, Circle(size=5.0, colour="blue")),
    ],
)
def test_another_kind_keeps_what_both_know(plain: object, expected: Circle | Ring) -> None:
    assert from_plain(Picture, {"shape": plain}, base=Picture(shape=Circle(size=5.0))) == Picture(shape=expected)


@pytest.mark.parametrize(
    ("plain", "text"),
    [
        ("rin", r"unknown shape 'rin' \(did you mean 'ring'\?\); known: circle, ring"),
        ({"name": "ring", "colour": "blue"}, "unknown key 'shape.colour'; known: size, inner"),
        (3, "shape must be a name or a table with one .circle, ring., got 3"),
        ({"name": ["ring"]}, "unknown shape"),
    ],
)
def test_a_bad_kind_is_named_with_its_cure(plain: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        from_plain(Picture, {"shape": plain})


def test_fractions_are_numbers() -> None:
    assert number("8/255") == 8 / 255
    assert from_plain(Inner, {"rate": "8/255"}).rate == 8 / 255


@pytest.mark.parametrize(
    ("plain", "text"),
    [
        ({"inner": {"rat": 1}}, r"unknown key 'inner.rat' \(did you mean 'rate'\?\)"),
        ({"xyz": 1}, "unknown key 'xyz'; known: inner, size"),
        ({"inner": {"kind": "c"}}, "inner.kind must be one of a, b, got 'c'"),
        ({"inner": {"rate": "much"}}, "inner.rate: not a number: 'much'"),
        ({"inner": {"rate": True}}, "inner.rate must be float, got True"),
        ({"size": 1.5}, "size must be int, got 1.5"),
        ({"on": 1}, "on must be bool, got 1"),
        ({"inner": 3}, "inner must be a table of Inner's fields, got 3"),
        ({"shares": [0.1, "1/0"]}, "shares: not a number: '1/0'"),
    ],
)
def test_a_bad_entry_is_named_with_its_cure(plain: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        from_plain(Outer, plain)
