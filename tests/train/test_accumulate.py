"""A batch worked on in parts gives the step of the whole batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from fitting import QUICK, bars, fresh
from together import CONFIGS, PLAIN, trained

from robustcnn import FitConfig, fit
from robustcnn.core.rows import Draws, Rows, drawn
from robustcnn.core.runtime import seeded


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_parts_give_the_curves_of_the_whole_batch(config: FitConfig) -> None:
    whole, parts = (trained(replace(config, accumulate=count), name="smallcnn")[0] for count in (1, 3))
    torch.testing.assert_close(parts, whole, atol=1e-4, rtol=0)


def test_parts_drop_the_units_that_the_whole_batch_drops() -> None:
    config = replace(CONFIGS["clean"], awp=0.01)
    whole, parts = (trained(replace(config, accumulate=count), name="smallcnn", dropout=0.3)[0] for count in (1, 3))
    torch.testing.assert_close(parts, whole, atol=1e-4, rtol=0)


def test_class_weights_count_in_parts_as_in_the_whole() -> None:
    train, validation = bars().split(0.25, generator=seeded(0))
    weights = torch.tensor([0.2, 1.8])
    losses = [
        [each.train_loss for each in fit(fresh(train), train, validation, config, class_weights=weights)]
        for config in (PLAIN, replace(PLAIN, accumulate=5))
    ]
    torch.testing.assert_close(*losses, atol=1e-5, rtol=0)


@pytest.mark.parametrize("total", [1, 2, 5, 12])
@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 3])
def test_every_row_of_a_batch_is_in_one_part_of_one_process(total: int, world: int, count: int) -> None:
    batch, seen = torch.arange(total), []
    numbers = set()
    for rank in range(world):
        parts = Rows(first=rank, step=world, total=total).parts(count)
        numbers.add(len(parts))
        assert all(len(part.of(batch)) == max(part.count, 1) for part in parts)
        seen += [int(row) for part in parts if part.count for row in part.of(batch)]
        assert sum(part.weight for part in parts) == pytest.approx(len(range(rank, total, world)) / total)
    assert sorted(seen) == batch.tolist()
    assert len(numbers) == 1  # as many passes in every process


def test_numbers_drawn_for_some_rows_are_those_of_the_whole_batch() -> None:
    whole = torch.rand(7, 3, generator=seeded(3))
    for rows in Rows(first=1, step=2, total=7).parts(2):
        generator = Draws.seeded(3)
        generator.rows = rows
        assert torch.equal(drawn(torch.rand, (rows.count, 3), generator), rows.of(whole))


@pytest.mark.parametrize("options", [{"accumulate": 0}, {"accumulate": 33, "batch_size": 32}])
def test_a_batch_cannot_be_cut_into_more_parts_than_it_has_rows(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"accumulate is the number of a batch's parts and must lie in \[1, batch_"):
        replace(QUICK, **options)
