"""Facts of the machine."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from robustcnn.core import runtime
from robustcnn.core.runtime import _has, autocast, exact_float32, float32_is_kept, usable

CPU = torch.device("cpu")


def test_bf16_is_left_out_with_one_word_where_the_processor_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    _has.cache_clear()
    monkeypatch.setattr(runtime, "_has", _has)
    with pytest.warns(UserWarning, match="this processor has no instructions for it; working in fp32 instead"):
        assert usable("bf16", CPU) == "fp32"
    # A second warning would be an error here.
    with autocast(CPU, "bf16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    _has.cache_clear()


def test_bf16_is_used_where_there_are_instructions_for_it() -> None:
    assert usable("bf16", CPU) == "bf16"
    with autocast(CPU, "bf16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


@pytest.mark.skipif(sys.platform != "linux" or "glibc" not in platform.libc_ver(), reason="glibc alone is told")
def test_memory_once_had_is_not_asked_for_again() -> None:
    # In a process of its own, because it cannot be taken back.
    script = """
import resource, torch
from robustcnn.core.runtime import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        held = [torch.ones(1 << 20) for _ in range(8)]
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
keep_memory()
faults()
print(before, faults())
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    before, after = map(int, answer.split())
    assert after < before / 20


def test_bf16_is_left_out_on_a_gpu_that_only_emulates_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_has", _has)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    _has.cache_clear()
    with pytest.warns(UserWarning, match="this GPU has no instructions for it; working in fp32 instead"):
        assert usable("bf16", torch.device("cuda")) == "fp32"
    _has.cache_clear()


@pytest.mark.parametrize("precision", ["medium", "high", "highest"])
def test_float32_is_float32_inside_the_block_and_as_it_was_after_it_also_on_error(precision: str) -> None:
    torch.set_float32_matmul_precision(precision)
    try:
        before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        assert not float32_is_kept()
        with pytest.raises(KeyError), exact_float32():  # noqa: PT012
            assert float32_is_kept()
            assert torch.get_float32_matmul_precision() == "highest"
            assert torch.backends.cudnn.deterministic
            raise KeyError
        assert torch.get_float32_matmul_precision() == precision
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before
        assert not torch.backends.cudnn.deterministic
    finally:
        torch.set_float32_matmul_precision("highest")
