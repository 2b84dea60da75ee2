"""Whatever bytes, words and pages are handed over: one line and a status, no traceback, no wait, no file elsewhere.

ROBUSTCNN_FUZZ is how many cases each test draws; experiments/soak_fuzz.py runs them by the thousand.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robustcnn.cli.main import main
from robustcnn.data.sets.cifar import read_cifar10
from robustcnn.data.sets.fer2013 import read_fer2013
from robustcnn.data.sets.idx import read_idx
from robustcnn.data.sets.npz import read_npz
from robustcnn.data.sets.picture import read_picture
from robustcnn.evaluate import attack_named
from robustcnn.models import checkpoint
from robustcnn.report.gallery import read_gallery
from robustcnn.runs.config_file import read_toml
from robustcnn.runs.evaluations import read_report
from robustcnn.runs.train_config import TRAINING, TrainConfig
from robustcnn.tracking.place import read_place
from robustcnn.tracking.spool import Spool
from robustcnn.train.gan import checkpoint as gan_checkpoint

pytestmark = [
    pytest.mark.slow,
    # Of a failing case's own page, which is long.
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
]
CASES = int(os.environ.get("ROBUSTCNN_FUZZ", "20"))
PATIENCE = 5.0
fuzzed = settings(
    max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), database=None, print_blob=False
)
KEPT = Path(__file__).parent / "runs" / "run_folders"


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def survives(read: Callable[[], object], name: str = "") -> None:
    """It reads, or says what is wrong in one line that names the file, within five seconds of work."""
    start = time.process_time()
    try:
        read()
    except (ValueError, OSError) as problem:
        told = str(problem)
        assert name in told
        assert len(told) < 2000
    assert time.process_time() - start < PATIENCE


def _npz() -> bytes:
    file, images = io.BytesIO(), np.arange(12 * 16, dtype=np.uint8).reshape(12, 4, 4)
    labels = np.arange(12) % 3
    np.savez_compressed(file, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    return file.getvalue()


def _png() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (9, 7), (1, 2, 3)).save(file, "PNG")
    return file.getvalue()


SOUND = {
    "npz": _npz(),
    "idx": bytes((0, 0, 8, 1, 0, 0, 0, 5)) + bytes(5),
    "png": _png(),
    "page": (KEPT / "old" / "checkpoint.json").read_bytes(),
    "weights": (KEPT / "old" / "weights-0002.safetensors").read_bytes(),
    "record": (KEPT / "old" / "run.json").read_bytes(),
    "gan": (KEPT / "oldgan" / "gan.json").read_bytes(),
    "report": (KEPT / "old" / "evaluations" / "quick" / "report.json").read_bytes(),
    "gallery": (KEPT / "old" / "evaluations" / "quick" / "gallery.safetensors").read_bytes(),
    "csv": b"emotion,pixels,Usage\n" + b"".join(b"0," + b" ".join([b"7"] * 2304) + b",Training\n" for _ in range(2)),
    "toml": b"name = 'a'\n[fit]\nepochs = 3\n[fit.optim]\nlr = '8/255'\n",
}


TOKENS = (b"null", b"[]", b"{}", b"NaN", b"1e999", b"-1", b'"x"', b"9" * 30, b"[" * 2000, b"\x00" * 4, b"\xff" * 8)


@st.composite
def damaged(draw: st.DrawFn, kind: str) -> bytes:
    """Bytes of a sound file with some flipped, cut out, doubled or put in; or any bytes."""
    content = bytearray(SOUND[kind])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        how = draw(st.sampled_from(["flip", "cut", "insert", "double", "word"]))
        if how == "flip" and content:
            content[at] = draw(st.integers(0, 255))
        elif how == "cut":
            del content[at : at + draw(st.integers(1, 200))]
        elif how == "insert":
            content[at:at] = draw(st.binary(max_size=20))
        elif how == "double":
            content[at:at] = content[at : at + draw(st.integers(1, 500))]
        else:
            content[at:at] = draw(st.sampled_from(TOKENS))
    return draw(st.just(bytes(content)) | st.binary(max_size=300))


READERS: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "npz": ("npz", "a.npz", read_npz),
    "idx": ("idx", "a", lambda path: read_idx(path, dimensions=1, command="x")),
    "picture": ("png", "a.png", lambda path: read_picture(path, around=8)),
    "cifar": ("npz", "cifar10.npz", lambda path: read_cifar10(path.parent)),
    "fer2013": ("csv", "fer2013.csv", lambda path: read_fer2013(path.parent)),
    "page": ("page", checkpoint.PAGE, lambda path: checkpoint.read_page(path.parent)),
    "gan page": ("gan", gan_checkpoint.PAGE, lambda path: gan_checkpoint.read_page(path.parent)),
    "record": ("record", TRAINING.record, lambda path: TRAINING.read_config(path.parent)),
    "report": ("report", "report.json", lambda path: read_report(path.parent)),
    "gallery": ("gallery", "gallery.safetensors", read_gallery),
    "toml": ("toml", "a.toml", lambda path: read_toml(path, TrainConfig())),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_is_read_or_named(reader: str) -> None:
    kind, name, read = READERS[reader]

    @fuzzed
    @given(damaged(kind))
    def check(content: bytes) -> None:
        with folder() as place:
            path = place / name
            path.write_bytes(content)
            before = set(place.rglob("*"))
            survives(lambda: read(path), name)
            assert set(place.rglob("*")) == before

    check()


@fuzzed
@given(damaged("weights"))
def test_damaged_weights_are_never_taken_for_sound_ones(content: bytes) -> None:
    with folder() as place:
        (place / checkpoint.PAGE).write_bytes(SOUND["page"])
        (place / "weights-0002.safetensors").write_bytes(content)
        if content != SOUND["weights"]:
            with pytest.raises(ValueError, match="is damaged"):
                checkpoint.load(place)


@fuzzed
@given(st.binary(max_size=400))
def test_notes_of_the_tracker_that_are_damaged_are_passed_over(content: bytes) -> None:
    with folder() as place:
        (place / "tracking.jsonl").write_bytes(content)
        (place / "mlflow.json").write_bytes(content)
        list(Spool(place).read())
        read_place(place)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@fuzzed
@given(st.data())
def test_a_page_with_values_of_other_kinds_is_one_line(data: st.DataObject) -> None:
    kind, name, read = data.draw(st.sampled_from([READERS[each] for each in ("page", "gan page", "record", "report")]))
    plain = json.loads(SOUND[kind])
    inside = plain
    for _ in range(data.draw(st.integers(0, 3))):
        deeper = [key for key, value in inside.items() if isinstance(value, dict) and value]
        if not deeper:
            break
        inside = inside[data.draw(st.sampled_from(sorted(deeper)))]
    inside[data.draw(st.sampled_from(sorted(inside)) | st.text(max_size=5))] = data.draw(JSON)
    with folder() as place:
        (place / name).write_text(json.dumps(plain))
        survives(lambda: read(place / name), name)


OPTIONS = """
--name --fit.epochs --model.width --data.size --data.name --seed --config --runs --which --eps --norm --suite --attacks
--count --resume --objective --threads --help=x -- .. -1 0 nan inf 1e9 8/0 npz:/dev/zero folder:/ digits x:y
"""
WORDS = st.sampled_from([*OPTIONS.split(), "", " ", "a\nb", "9" * 25])


@fuzzed
@given(
    st.sampled_from(["train", "pretrain", "evaluate", "attack", "compare", "sync", "data", "describe", "nonsense", ""]),
    st.lists(WORDS | st.text(max_size=6), min_size=1, max_size=6),
)
def test_any_words_on_the_command_line_are_one_line(verb: str, words: list[str]) -> None:
    """With a last word that no verb knows, so that no work begins."""
    with folder() as place, contextlib.chdir(place):
        told = io.StringIO()
        start = time.process_time()
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            try:
                status = main([verb, *words, "--no-such-option"])
            except SystemExit as end:
                status = 2 if end.code else 0
        assert status in (0, 2), told.getvalue()
        assert told.getvalue().count("\n") <= 1
        assert time.process_time() - start < PATIENCE + 5
        assert not [path for path in place.rglob("*") if path.is_file() and path.suffix != ".lock"]


@fuzzed
@given(st.text(max_size=30) | st.from_regex(r"[a-z]+\([a-z_]+=[^)]{0,9}\)", fullmatch=True))
def test_any_attacks_name_is_an_attack_or_one_line(text: str) -> None:
    survives(lambda: attack_named(text))


def test_an_archive_may_name_files_elsewhere_and_nothing_is_written_there() -> None:
    with folder() as place:
        inner = place / "inner"
        inner.mkdir()
        with zipfile.ZipFile(inner / "a.npz", "w") as archive:
            archive.writestr("../escaped.npy", b"x")
            archive.writestr("/escaped.npy", b"x")
        survives(lambda: read_npz(inner / "a.npz"), "a.npz")
        assert sorted(path.name for path in place.rglob("*")) == ["a.npz", "inner"]
