"""Names that a person can tell apart."""

from __future__ import annotations

import pytest

from robustcnn.core.labels import labels, short


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["demo-plain-20261125-223310-404", "demo-dcgan-init-20261125-223345-404"], ["plain", "dcgan-init"]),
        (["plain-20261125-223310-404"], ["plain"]),
        (["digits-bncnn-20261125-223310-404", "digits-bncnn-20261125-223345-404"], ["223310-404", "223345-404"]),
        (["a-b", "a"], ["a-b", "a"]),
        (["mine", "other"], ["mine", "other"]),
        (["same", "same"], ["same", "same"]),
        ([], []),
    ],
)
def test_labels_are_the_shortest_forms_that_differ(names: list[str], found: list[str]) -> None:
    assert labels(names) == found


def test_a_name_that_is_all_stamp_keeps_it() -> None:
    assert short("-20261125-223310-404") == "-20261125-223310-404"
