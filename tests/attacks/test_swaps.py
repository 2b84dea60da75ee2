"""Exchanged symbols, on a network whose worst case is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks.swaps import Swaps
from robustcnn.core.losses import margin

SYMBOLS = 6


class Sum(nn.Module):
    """Two logits: 0 and a weight for each symbol, added up; linear in the embedding, so the gradient tells all."""

    def __init__(self) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.tensor([0.0, 1.0, -1.0, 3.0, -4.0, 0.5]))

    def embed(self, symbols: Tensor) -> Tensor:
        return self.values[symbols][:, None]

    def from_embedded(self, embedded: Tensor) -> Tensor:
        total = embedded.sum((1, 2))
        return torch.stack([torch.zeros_like(total), total], 1)

    def forward(self, symbols: Tensor) -> Tensor:
        return self.from_embedded(self.embed(symbols))


def test_the_worst_exchanges_of_a_sum_are_found() -> None:
    symbols, labels = torch.tensor([[1, 2, 5, 0], [4, 4, 3, 3]]), torch.tensor([1, 0])
    found = Swaps(swaps=2)(Sum(), symbols, labels, SYMBOLS)
    # The first row loses most where it holds most; the second gains 7 for each of its two fours.
    assert found[0].tolist().count(4) == 2
    assert found[1].tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize("swaps", [0, 1, 3])
def test_no_more_is_exchanged_than_allowed_and_never_for_the_worse(swaps: int) -> None:
    symbols = torch.randint(SYMBOLS, (20, 8), generator=torch.Generator().manual_seed(0))
    labels, model = torch.arange(20) % 2, Sum()
    found = Swaps(swaps=swaps)(model, symbols, labels, SYMBOLS)
    assert ((found != symbols).sum(1) <= swaps).all()
    assert (margin(model(found), labels) >= margin(model(symbols), labels)).all()


def test_symbols_beyond_the_vocabulary_and_a_negative_count_are_refused() -> None:
    with pytest.raises(ValueError, match=r"whole numbers .* below 3"):
        Swaps()(Sum(), torch.tensor([[5]]), torch.tensor([0]), 3)
    with pytest.raises(ValueError, match="swaps must be at least 0"):
        Swaps(swaps=-1)
