"""Device, precision, seeds and modes: the few facts of the machine that a computation depends on."""

from __future__ import annotations

import ctypes
import hashlib
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, Literal, TypeVar

import torch
from torch import nn

T = TypeVar("T")
DeviceName = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16", "fp16"]
WideRange = Literal["fp32", "bf16"]
"""Without fp16, whose small gradients vanish unless losses are multiplied."""
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""The two kinds of 16 bits: the first with the range of float32, the second with a finer grid."""


def pick_device(name: DeviceName | str = "auto") -> torch.device:
    """The device called `name`; `auto` takes a GPU when there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device must be auto, cpu or cuda, got {name!r}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {name!r} was asked for, but torch sees no GPU here (use --device auto or cpu)")
    return device


def check_threads(threads: int | None) -> None:
    """Refuse a number of CPU threads that there cannot be."""
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")


def use_threads(threads: int | None) -> None:
    """Have torch work with so many CPU threads from now on; as many as it likes when None."""
    check_threads(threads)
    if threads is not None:
        torch.set_num_threads(threads)


def usable(precision: Precision, device: torch.device) -> Precision:
    """`precision`, or fp32 where it is not in the hardware, which would work it out several times slower."""
    return precision if precision == "fp32" or _has(precision, device.type) else "fp32"


@cache
def _has(precision: Precision, kind: str) -> bool:
    """Whether this processor or GPU has instructions for it; if not, its user is told, once."""
    if kind == "cuda":
        found = precision == "fp16" or bool(torch.cuda.is_bf16_supported(including_emulation=False))
    else:
        found = kind != "cpu" or bool(getattr(torch.ops.mkldnn, f"_is_mkldnn_{precision}_supported")())
    if not found:
        where, other = ("GPU", " (try fp16, which it has)") if kind == "cuda" else ("processor", "")
        said = f"{precision}: this {where} has no instructions for it; working in fp32 instead{other}"
        warnings.warn(said, stacklevel=3)
    return found


@cache
def keep_memory() -> None:
    """Have the C library keep for this process what is freed, up to a gigabyte of it in pieces of up to 128 MB.

    Usually glibc gives a batch's maps back to the system at the end of a step, and has them again page by page, each
    of them filled with zeros: a tenth of an attack's time. Other libraries and systems are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(_TRIM_THRESHOLD, 1 << 30)
        mallopt(_MMAP_THRESHOLD, 1 << 27)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Their numbers in malloc.h."""


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Mixed precision inside the block when `precision` is bf16 or fp16; nothing at all when it is fp32."""
    usual = usable(precision, device)
    return nullcontext() if usual == "fp32" else torch.autocast(device.type, dtype=HALVES[usual])


@contextmanager
def tuned_convolutions() -> Iterator[None]:
    """Inside the block cuDNN times its ways to convolve, once a shape: for work that meets few shapes."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _homes() -> list[Any]:
    """Where torch keeps how exact float32 has to be, operation by operation; older ones have fewer of them."""
    backends = torch.backends
    places = [(backends.cuda, "matmul"), *((backends.cudnn, name) for name in ("conv", "rnn"))]
    places += [(backends.mkldnn, name) for name in ("matmul", "conv", "rnn")]
    homes = [getattr(place, name, None) for place, name in places]
    return [home for home in homes if hasattr(home, "fp32_precision")]


@contextmanager
def exact_float32() -> Iterator[None]:
    """Inside the block float32 is float32 (no TF32, no bf16 for it) and cuDNN repeats itself; after it as before."""
    before = [(home, home.fp32_precision) for home in _homes()]
    deterministic, legacy = torch.backends.cudnn.deterministic, _legacy()
    try:
        torch.backends.cudnn.deterministic = True
        _set_legacy(("highest", False))
        for home, _ in before:
            if home.fp32_precision not in EXACT:
                home.fp32_precision = "ieee"
        yield
    finally:
        torch.backends.cudnn.deterministic = deterministic
        if legacy is not None:
            _set_legacy(legacy)
        for home, precision in before:
            # Two words for the same: writing the one for the other would only confuse torch's older settings.
            if not {home.fp32_precision, precision} <= set(EXACT) and home.fp32_precision != precision:
                home.fp32_precision = precision


EXACT = ("ieee", "none")


def _legacy() -> tuple[str, bool] | None:
    """The older settings; None where the newer ones say something that these have no word for."""
    try:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    except RuntimeError:
        return None


def _set_legacy(values: tuple[str, bool]) -> None:
    torch.set_float32_matmul_precision(values[0])
    torch.backends.cudnn.allow_tf32 = values[1]


def float32_is_kept() -> bool:
    """Whether nothing coarser takes the place of float32 arithmetic now."""
    homes = _homes()
    return all(home.fp32_precision in EXACT for home in homes) if homes else _legacy() == ("highest", False)


def seeded(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of its own, so that no draw anywhere else can shift its numbers."""
    return torch.Generator(device).manual_seed(checked_seed(seed))


def checked_seed(seed: int) -> int:
    """The seed, if it is one that torch takes."""
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"seed must be a whole number of at most 64 bits, got {str(seed)[:30]}")
    return seed


def derived_seed(*parts: object) -> int:
    """A seed for one purpose, the same in every process: derived_seed(0, "epoch", 3)."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed torch's global generators inside the block (weight initialisation, dropout); the caller's state after it."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(checked_seed(seed))
        yield


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; every submodule's own mode after it."""
    modes = {module: module.training for module in model.modules()}
    to_evaluation(model)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def to_evaluation(model: nn.Module) -> nn.Module:
    """The model itself, in evaluation mode; an exported program has one mode only, what is beside it may have two."""
    try:
        model.eval()
    except NotImplementedError:
        model.training = False
        for child in model.children():
            to_evaluation(child)
    return model


@contextmanager
def frozen_weights(model: nn.Module) -> Iterator[None]:
    """No parameter asks for a gradient inside the block, so that autograd works for the input alone."""
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)


def out_of_memory(problem: BaseException) -> bool:
    """Whether this is how a device, or the host's allocator, says that memory is used up."""
    said = str(problem).lower()
    return isinstance(problem, torch.OutOfMemoryError | MemoryError) or "out of memory" in said or "t allocate" in said


def first_line(problem: BaseException) -> str:
    """What an exception says, without the pages that some libraries add."""
    said = str(problem).strip()
    return said.splitlines()[0] if said else type(problem).__name__


def halving(work: Callable[[int], T], size: int) -> T:
    """`work` on so many at once, or on half as many again and again, as long as memory does not suffice."""
    while True:
        try:
            return work(size)
        except (RuntimeError, MemoryError) as problem:
            if size <= 1 or not out_of_memory(problem):
                raise
        # Outside the handler, whose traceback holds on to tensors.
        size = (size + 1) // 2
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
