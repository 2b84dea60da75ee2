"""What a search knows of a batch: which examples are still attacked, and the worst image found so far for each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import is_fooled
from robustcnn.core.conv_arithmetic import Place, crop
from robustcnn.core.norms.batched import per_example
from robustcnn.fast.view import CoarseView, exact_logits


class SearchState:
    """Keeps the worst image found for each example: fooled before not fooled, then the greater loss.

    With `stop`, an example keeps its first fooled image and is attacked no longer. A fast view of a model (a
    `CoarseView`) only proposes: no example is dropped before `exact` agrees.
    """

    def __init__(
        self, model: nn.Module, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, stop: bool = True
    ) -> None:
        self.model, self.stop = model, stop
        self.images, self.labels, self.targets = images, labels, targets
        self.best_found = images.clone()
        """For the whole batch."""
        self.loss = torch.full(labels.shape, -torch.inf, dtype=images.dtype, device=images.device)
        self.succeeded = torch.zeros_like(labels, dtype=torch.bool)
        self.active = torch.arange(len(labels), device=labels.device)
        """Indices of the examples still attacked; what the methods take and return is about these alone."""

    def __len__(self) -> int:
        return len(self.active)

    def is_success(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Whether these logits are what the attacker wants."""
        return is_fooled(logits, self.labels[rows]) if self.targets is None else logits.argmax(1) == self.targets[rows]

    def update(
        self, candidates: Tensor, loss: Tensor, logits: Tensor, *, ranked: bool = True, place: Place | None = None
    ) -> Tensor:
        """Keep each candidate that is worse than the best found so far; not `ranked`: only those that succeed.

        Returns which were kept. With a `place`, the candidates are only the pixels there.
        """
        before, success = self.succeeded[self.active], self.is_success(logits, self.active)
        better = success & ~before
        if ranked:
            comparable = ~before & ~success if self.stop else before == success
            better |= comparable & (loss > self.loss[self.active])
        found = self.best_found if place is None else crop(self.best_found, place)
        found[self.active] = torch.where(per_example(better, candidates), candidates, found[self.active])
        self.loss[self.active] = torch.where(better, loss.to(self.loss.dtype), self.loss[self.active])
        self.succeeded[self.active] = before | success
        return better

    def compact(self, step: int = 0) -> Tensor | None:
        """Drop what succeeded once it is an eighth; returns who stays, or None when nothing was dropped.

        Call it once a step.
        """
        # Counting makes a GPU wait: look at steps 0, 1, 2, 4, 8, 16, 24, ...
        if not self.stop or (self.active.is_cuda and step % 8 and step & (step - 1)):
            return None
        if int(self.succeeded[self.active].sum()) * 8 < max(len(self), 1):
            return None
        return self.drop_succeeded()

    def finish_restart(self, candidates: Tensor, loss: Tensor, logits: Tensor) -> None:
        """Keep the last candidates of a restart as far as they are worse; the logits are the exact ones."""
        self._confirm()
        self.update(candidates, loss, logits)
        if self.stop:
            self.drop_succeeded()

    def drop_succeeded(self) -> Tensor:
        """Attack no longer what has succeeded for the exact model; returns who stays, as indices into `active`."""
        self._confirm()
        stay = (~self.succeeded[self.active]).nonzero().flatten()
        self.active = self.active[stay]
        return stay

    def _confirm(self) -> None:
        if not isinstance(self.model, CoarseView):
            return
        claimed = self.active[self.succeeded[self.active]]
        if len(claimed):
            wrong = claimed[~self.is_success(exact_logits(self.model, self.best_found[claimed]), claimed)]
            self.succeeded[wrong], self.loss[wrong] = False, -torch.inf
