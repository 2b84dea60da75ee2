"""Nobody looks for garbage among what is being imported."""

from __future__ import annotations

import gc

import pytest

from robustcnn.core.importing import importing


def failing() -> None:
    with importing():
        assert not gc.isenabled()
        raise ImportError


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_rests_inside_and_is_as_it_was_afterwards_also_on_error(enabled: bool) -> None:
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(ImportError):
            failing()
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
