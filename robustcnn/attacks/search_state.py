"""Which examples of a batch are still worth attacking, and the worst image found for each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import is_fooled, spread
from robustcnn.core.conv_arithmetic import Place, at
from robustcnn.fast.view import exact_logits


class Standing:
    """Keeps, for each example, the worst image seen: fooled before not fooled, then the greater loss.

    With `stop`, an example keeps its first fooled image and leaves. A fast view of a model (one with a method `exact`)
    only proposes: nobody leaves before `exact` agrees.
    """

    def __init__(
        self, model: nn.Module, images: Tensor, labels: Tensor, *, targets: Tensor | None = None, stop: bool = True
    ) -> None:
        self.model, self.stop = model, stop
        self.images, self.labels, self.targets = images, labels, targets
        self.worst = images.clone()
        """For the whole batch."""
        self.loss = torch.full(labels.shape, -torch.inf, dtype=images.dtype, device=images.device)
        self.reached = torch.zeros_like(labels, dtype=torch.bool)
        self.rows = torch.arange(len(labels), device=labels.device)
        """Where those still standing are in the whole batch; all that goes in and out below is about these rows."""

    def __len__(self) -> int:
        return len(self.rows)

    def goal(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Whether these logits are what the attacker wants."""
        return is_fooled(logits, self.labels[rows]) if self.targets is None else logits.argmax(1) == self.targets[rows]

    def see(
        self, candidates: Tensor, loss: Tensor, logits: Tensor, *, ranked: bool = True, place: Place | None = None
    ) -> Tensor:
        """Take over each candidate that is worse than what is held; not `ranked`: only those that reach the goal.

        Which those are is told. With a `place`, the candidates are what stands there in images that are held otherwise.
        """
        held, reached = self.reached[self.rows], self.goal(logits, self.rows)
        worse = reached & ~held
        if ranked:
            level = ~held & ~reached if self.stop else held == reached
            worse |= level & (loss > self.loss[self.rows])
        worst = self.worst if place is None else at(self.worst, place)
        worst[self.rows] = torch.where(spread(worse, candidates), candidates, worst[self.rows])
        self.loss[self.rows] = torch.where(worse, loss.to(self.loss.dtype), self.loss[self.rows])
        self.reached[self.rows] = held | reached
        return worse

    def leave(self, step: int = 0) -> Tensor | None:
        """Which of the standing stay, or None while too few can leave to be worth a copy; call it once a step."""
        # Counting makes a GPU wait: look at steps 0, 1, 2, 4, 8, 16, 24, ...
        if not self.stop or (self.rows.is_cuda and step % 8 and step & (step - 1)):
            return None
        if int(self.reached[self.rows].sum()) * 8 < max(len(self), 1):
            return None
        return self.dismiss()

    def finish(self, candidates: Tensor, loss: Tensor, logits: Tensor) -> None:
        """Take over the last candidates of a restart, which have the logits that count, as far as they are worse."""
        self._confirm()
        self.see(candidates, loss, logits)
        if self.stop:
            self.dismiss()

    def dismiss(self) -> Tensor:
        """Let all go that reached the goal, beyond doubt; which of the standing stay."""
        self._confirm()
        stay = (~self.reached[self.rows]).nonzero().flatten()
        self.rows = self.rows[stay]
        return stay

    def _confirm(self) -> None:
        if not hasattr(self.model, "exact"):
            return
        claimed = self.rows[self.reached[self.rows]]
        if len(claimed):
            wrong = claimed[~self.goal(exact_logits(self.model, self.worst[claimed]), claimed)]
            self.reached[wrong], self.loss[wrong] = False, -torch.inf
