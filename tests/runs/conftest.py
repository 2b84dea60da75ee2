"""What lists and searches are handed out to."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from elsewhere import Elsewhere


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def elsewhere(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    place = Elsewhere(port, tmp_path_factory.mktemp("elsewhere"))
    place.start()
    yield place
    place.kill()
