"""What a search keeps of a batch, and whose word it takes for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustcnn.attacks.search_state import SearchState
from robustcnn.fast.view import CoarseView

LABELS = torch.tensor([0, 0])
FOOLED = torch.tensor([[0.0, 1.0], [0.0, 1.0]])


class Coarse(CoarseView):
    """Whatever it says, exactly looked at a picture brighter than a half fools, and no other."""

    def __init__(self) -> None:
        super().__init__(nn.Identity(), nn.Identity())

    def exact(self, images: Tensor) -> Tensor:
        bright = images.flatten(1).mean(1)
        return torch.stack([0.5 + 0 * bright, bright], 1)


def test_an_example_of_which_a_coarse_view_claims_too_much_is_attacked_on() -> None:
    found = torch.tensor([0.2, 0.8]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    state = SearchState(Coarse(), torch.zeros(2, 1, 2, 2), LABELS)
    state.update(found, torch.ones(2), FOOLED)
    assert state.succeeded.tolist() == [True, True], "claimed"
    assert state.drop_succeeded().tolist() == [0]
    assert state.rows.tolist() == [0]
    assert torch.equal(state.best_found[1], found[1])


def test_with_stop_the_first_success_is_kept_and_without_the_worst() -> None:
    first, second = torch.full((2, 1, 2, 2), 0.1), torch.full((2, 1, 2, 2), 0.9)
    for stop, kept in ((True, first), (False, second)):
        state = SearchState(nn.Identity(), torch.zeros(2, 1, 2, 2), LABELS, stop=stop)
        state.update(first, torch.tensor([1.0, 1.0]), FOOLED)
        state.update(second, torch.tensor([2.0, 2.0]), FOOLED)
        assert torch.equal(state.best_found, kept)
