"""A model behind an address: pictures are posted, scores or labels come back.

JSON: {"images": [[[[0.1, ...]]]]} is answered by {"scores": [[...], ...]}, {"labels": [...]} or the bare list; npy: the
array itself, answered by npy or JSON. Pictures are float32 in [0, 1], (N, C, H, W) unless told otherwise.
"""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.request
from typing import Any

import numpy as np
from torch import Tensor, nn

from robustcnn.attacks import BlackBox
from robustcnn.core.runtime import first_line
from robustcnn.runs.find_model.victim import SourceConfig

FIRST_PAUSE = 0.5
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Status codes that another try may not meet again."""
KINDS = {"json": "application/json", "npy": "application/octet-stream"}
NAMED = ("scores", "logits", "labels", "predictions", "outputs")


def service(address: str, options: SourceConfig) -> nn.Module:
    """A black box that is asked over HTTP."""
    return BlackBox(
        Service(address, options), answers=options.answers, budget=options.queries, batch_size=options.request_size
    )


class Service:
    """Asks one request after the other, no faster than allowed, again when it fails."""

    def __init__(self, address: str, options: SourceConfig) -> None:
        self.address, self.options = address, options
        self.next_at = 0.0

    def __call__(self, images: Tensor) -> Any:
        pixels = images.cpu().float()
        pixels = pixels.permute(0, 2, 3, 1) if self.options.layout == "channels-last" else pixels
        answer = _read(self._posted(self._body(pixels.contiguous().numpy())))
        if len(answer) != len(images):
            raise ValueError(f"{self.address} must answer {len(images)} pictures, answered {len(answer)}")
        return answer

    def _body(self, pixels: Any) -> bytes:
        if self.options.format == "json":
            return json.dumps({"images": pixels.tolist()}).encode()
        file = io.BytesIO()
        np.save(file, pixels)
        return file.getvalue()

    def _posted(self, body: bytes) -> bytes:
        for attempt in range(self.options.retries + 1):
            self._wait()
            try:
                return self._post(body)
            except (urllib.error.URLError, ConnectionError, TimeoutError) as problem:
                code = getattr(problem, "code", None)
                if attempt == self.options.retries or (code is not None and code not in PASSING):
                    raise ConnectionError(
                        f"{self.address} does not answer: {first_line(problem)}, asked {attempt + 1} times "
                        "(what is done so far is kept; the same command goes on)"
                    ) from None
                time.sleep(FIRST_PAUSE * 2**attempt)
        raise AssertionError("unreachable")

    def _post(self, body: bytes) -> bytes:
        kind = KINDS[self.options.format]
        request = urllib.request.Request(self.address, body, {"Content-Type": kind}, method="POST")
        with urllib.request.urlopen(request, timeout=self.options.timeout) as response:
            content: bytes = response.read()
        return content

    def _wait(self) -> None:
        if self.options.rate is None:
            return
        now = time.monotonic()
        time.sleep(max(0.0, self.next_at - now))
        self.next_at = max(now, self.next_at) + 1 / self.options.rate


def _read(content: bytes) -> Any:
    if content.startswith(b"\x93NUMPY"):
        return np.load(io.BytesIO(content), allow_pickle=False)
    try:
        answer = json.loads(content)
    except ValueError:
        shown = content[:60].decode(errors="replace")
        raise ValueError(f"the service must answer with JSON or npy, answered {shown!r}") from None
    if isinstance(answer, dict):
        found = next((answer[name] for name in NAMED if name in answer), None)
        if found is None:
            raise ValueError(f"the service must name its answer {' or '.join(NAMED)}, named {', '.join(answer)}")
        answer = found
    return np.asarray(answer)
