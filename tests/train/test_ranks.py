"""Two real processes train as one does."""

from __future__ import annotations

import copy
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from fitting import bars, fresh
from together import CONFIGS, MORE, PLAIN, THREAT, trained
from torch import Tensor, nn

from robustcnn import FitConfig, fit
from robustcnn.core import meeting
from robustcnn.core.launch import Launch, Parted
from robustcnn.core.meeting import joined
from robustcnn.core.ranks import ALONE, Ranks
from robustcnn.core.rows import Rows
from robustcnn.core.runtime import seeded
from robustcnn.train import Adversarial
from robustcnn.train.shared_layers import SharedLayers
from robustcnn.train.synced_norm import batch_norms, normalised

SCRIPT = Path(__file__).with_name("together.py")
Curves = dict[str, list[Any]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def by_two(place: Path) -> Curves:
    """All trainings of one launch of two processes."""
    out = place / "curves.json"
    cases = [*CONFIGS, *MORE]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(SCRIPT), str(out), *cases]
    done = subprocess.run(command, cwd=SCRIPT.parent, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[:6000]
    found: Curves = json.loads(out.read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", CONFIGS)
def test_two_processes_give_the_curves_of_one(by_two: Curves, case: str) -> None:
    torch.testing.assert_close(by_two[case], trained(CONFIGS[case])[0], atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["dcgan", "dropout", "recomputed"])
def test_so_they_do_with_a_gan_with_dropout_and_with_less_memory(by_two: Curves, case: str) -> None:
    torch.testing.assert_close(by_two[case], MORE[case](ALONE), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_batch_norm_of_each_process_by_itself_is_another_training(by_two: Curves) -> None:
    one = trained(PLAIN)[0]
    assert 1e-5 < abs(by_two["apart"][0][0] - one[0][0]) < 0.1


@pytest.mark.slow
def test_what_two_processes_began_one_ends_alike(by_two: Curves, place: Path) -> None:
    train, validation = bars().split(0.25, generator=seeded(0))
    model = fresh(train, "bncnn", width=0.1)
    (second,) = fit(model, train, validation, CONFIGS["ema"], folder=place / "begun", resume=True)
    whole = trained(CONFIGS["ema"])[0]
    assert by_two["begun"] == pytest.approx([whole[0][0]], abs=1e-4)
    assert (second.train_loss, second.valid_loss) == pytest.approx(whole[1][:2], abs=1e-4)


@pytest.mark.slow
def test_one_process_tells_a_trouble_and_the_others_know_of_it(by_two: Curves) -> None:
    assert by_two["failed"] == [
        "EndedElsewhere: rank 1 of 2: no such file here",
        "ValueError: all processes must have the same data, but rank 0 has 0 and rank 1 1",
    ]


def test_who_never_comes_is_named(monkeypatch: pytest.MonkeyPatch, free_port: str) -> None:
    environment = {"RANK": "0", "WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(meeting, "MEETING", timedelta(seconds=1))
    with pytest.raises(Parted, match=r"rank 0 of 3 cannot reach the others \(Timed out.*: one ended as it"), joined():
        pass
    with pytest.raises(Parted, match="rank 0 of 2 waited 1 s in vain for rank 1: it ended as it began, or was never"):
        meeting.meet(dist.HashStore(), Launch(rank=0, world=2))
    with pytest.raises(Parted, match="rank 1 of 2 waited 1 s in vain for rank 0"):
        meeting.meet(dist.HashStore(), Launch(rank=1, world=2))


def test_who_is_started_again_does_not_meet_those_that_ended() -> None:
    """The store that torchrun keeps is full of the first attempt's words."""
    store = dist.HashStore()

    def met() -> set[str]:
        with ThreadPoolExecutor(3) as pool:
            # The first one last: the others see what is left from before.
            found = [pool.submit(meeting.meet, store, Launch(rank=rank, world=3)) for rank in (1, 2)]
            time.sleep(0.3)
            found.append(pool.submit(meeting.meet, store, Launch(rank=0, world=3)))
            return {each.result(20) for each in found}

    first, second = met(), met()
    assert len(first) == len(second) == 1
    assert first != second


def test_a_launcher_that_says_nonsense_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=r"RANK must lie in 0..1 \(WORLD_SIZE - 1\), got 2"), joined():
        pass
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(ValueError, match="WORLD_SIZE must be a whole number, got 'two'"), joined():
        pass


@pytest.fixture
def free_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return str(listening.getsockname()[1])


class Recorded(Ranks):
    """The first of several processes, whose words to the others are made up."""

    def __init__(self, others: list[Tensor]) -> None:
        self.world = 1 + len(others)
        self.others = others

    def gather(self, values: Tensor) -> Tensor:
        return torch.stack([values, *self.others])


def test_statistics_of_parts_are_those_of_the_whole() -> None:
    """Uneven parts, one of them empty; a large mean, which sums of squares would cancel."""
    whole = 100 + torch.randn(9, 4, 3, 3, generator=seeded(0))
    norm, reference = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
    told = []

    class Telling(Ranks):
        world = 3

        def gather(self, values: Tensor) -> Tensor:
            told.append(values.detach())
            return values[None]

    parts = [(whole[:5], 1.0), (whole[5:], 1.0), (whole[8:], 0.0)]
    for part, weight in parts:
        normalised(copy.deepcopy(norm), part, Telling(), weight)
    ours = normalised(norm, whole[:5], Recorded(told[1:]), 1.0)
    torch.testing.assert_close(ours, reference(whole)[:5], atol=2e-5, rtol=1e-5)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(getattr(norm, name), getattr(reference, name))


def test_a_normalised_part_has_second_derivatives() -> None:
    norm = nn.BatchNorm2d(2, dtype=torch.float64)
    images = torch.randn(3, 2, 2, 2, dtype=torch.float64, generator=seeded(0), requires_grad=True)

    def gradient(form: Callable[[Tensor], Tensor]) -> Tensor:
        (first,) = torch.autograd.grad(form(images).pow(3).sum(), images, create_graph=True)
        return torch.autograd.grad(first.square().sum(), images)[0]

    ours, theirs = gradient(lambda values: normalised(norm, values, ALONE, 1.0)), gradient(norm)
    torch.testing.assert_close(ours, theirs)


def test_layers_that_share_are_left_as_they_were() -> None:
    model = fresh(bars(), "bncnn", width=0.1, dropout=0.2)
    kinds = {name: type(module) for name, module in model.named_modules()}
    shared = SharedLayers(model, Recorded([torch.zeros(1)]), sync_norm=True)
    assert {name: type(module) for name, module in model.named_modules()} == kinds
    assert len(shared.modules) > len(batch_norms(model)) > 0
    twin = copy.deepcopy(model)
    norm = next(module for module in twin.modules() if isinstance(module, nn.BatchNorm2d))
    assert norm.forward.__self__ is norm  # not the one that it was copied from
    shared.release()
    assert not any("forward" in vars(module) for module in model.modules())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dropout_of_some_rows_is_that_of_the_whole_batch(layout: torch.memory_format) -> None:
    model = nn.Sequential(nn.Dropout(0.5))
    whole = torch.rand(7, 3, 4, 4, generator=seeded(0)).contiguous(memory_format=layout)
    torch.manual_seed(5)
    expected = model(whole)
    shared = SharedLayers(model, ALONE, sync_norm=True, accumulate=3)
    for rows in Rows(first=0, step=1, total=7).parts(3):
        shared.rows = rows
        torch.manual_seed(5)
        part = rows.of(whole).contiguous(memory_format=layout)
        assert torch.equal(model(part), rows.of(expected))


def test_the_attack_looks_at_the_bare_model() -> None:
    """No wrapper, no change of modes, and no process asked: in evaluation mode the layers are torch's."""

    class Deaf(Ranks):
        world = 2

        def gather(self, _: Tensor) -> Tensor:
            raise AssertionError("an attack does not wait for other processes")

    model = fresh(bars(), "bncnn", width=0.1).eval()
    expected = model(torch.ones(2, 1, 12, 12))
    shared = SharedLayers(model, Deaf(), sync_norm=True)
    shared.rows = Rows(first=0, step=2, total=4)
    assert torch.equal(model(torch.ones(2, 1, 12, 12)), expected)


def test_one_process_with_whole_batches_meets_torchs_own_layers() -> None:
    assert SharedLayers(fresh(bars(), "bncnn", width=0.1, dropout=0.2), ALONE, sync_norm=True).modules == []


def test_fit_leaves_a_model_without_a_trace_of_the_others() -> None:
    train, validation = bars().split(0.25, generator=seeded(0))
    model = fresh(train, "bncnn", width=0.1, dropout=0.2)
    list(fit(model, train, validation, replace(PLAIN, accumulate=2)))
    assert not any("forward" in vars(module) for module in model.modules())


def test_more_processes_than_examples_in_a_batch_are_refused() -> None:
    train, validation = bars().split(0.25, generator=seeded(0))
    config = FitConfig(batch_size=2, objective=Adversarial(threat=THREAT))
    with pytest.raises(ValueError, match="must be at least their number, 3, got 2"):
        next(fit(fresh(train), train, validation, config, ranks=Recorded([torch.zeros(1)] * 2)))
