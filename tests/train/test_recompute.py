"""Activations that are computed again change the memory, not the training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from fitting import bars, fresh, parts
from together import CONFIGS, PLAIN, trained
from torch import Tensor, nn

from robustcnn import fit
from robustcnn.train.recompute import Recomputed, blocks


@pytest.mark.parametrize("case", ["clean", "trades", "free", "fast", "awp", "mixup"])
def test_a_training_that_forgets_activations_is_the_same(case: str) -> None:
    ours, theirs = (
        trained(replace(CONFIGS[case], checkpoint_activations=forgets), dropout=0.2)[1].state_dict()
        for forgets in (True, False)
    )
    torch.testing.assert_close(ours, theirs)


def kept_bytes(model: nn.Module, images: Tensor) -> int:
    """What a forward pass keeps for the way back, weights aside."""
    weights = {each.untyped_storage().data_ptr() for each in [*model.parameters(), *model.buffers()]}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        answer = model(images)
    del answer
    return sum(kept.values())


@pytest.mark.parametrize("name", ["bncnn", "resnet18", "preactresnet18"])
def test_little_more_than_half_of_the_activations_are_kept_at_most(name: str) -> None:
    data = bars()
    model = fresh(data, name, width=0.1).train()
    images = torch.rand(4, *data.spec.shape)
    before = kept_bytes(model, images)
    recomputed = Recomputed(model)
    assert kept_bytes(model, images) < 0.6 * before
    recomputed.release()
    assert kept_bytes(model, images) == before


@pytest.mark.parametrize("make", [lambda: nn.Sequential(*(nn.Linear(3, 3) for _ in range(12)))])
def test_a_long_row_is_cut_into_blocks(make: Callable[[], nn.Module]) -> None:
    model = nn.Sequential(make(), nn.Linear(3, 2))
    assert list(blocks(model)) == [model[0]]
    images = torch.rand(5, 3, requires_grad=True)
    expected = torch.autograd.grad(model(images).sum(), images)
    before = kept_bytes(model, images)
    recomputed = Recomputed(model)
    torch.testing.assert_close(torch.autograd.grad(model(images).sum(), images), expected)
    assert kept_bytes(model, images) < 0.5 * before
    recomputed.release()


def test_it_is_either_compiled_or_computed_again() -> None:
    train, validation = parts()
    config = replace(PLAIN, checkpoint_activations=True)
    with pytest.raises(ValueError, match="compile and checkpoint_activations exclude each other"):
        next(fit(fresh(train), train, validation, config, compiled=True))
