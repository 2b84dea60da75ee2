"""What `from robustcnn import ...` offers."""

from __future__ import annotations

import pytest

import robustcnn


def test_every_public_name_is_there_and_there_are_few() -> None:
    assert all(getattr(robustcnn, name) is not None for name in robustcnn.__all__)
    assert len(robustcnn.__all__) == len(set(robustcnn.__all__)) <= 20


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Attak'"):
        _ = robustcnn.Attak
