"""What a search knows of a batch: which examples are still attacked, and the worst image found so far for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import is_fooled
from robustcnn.core.conv_arithmetic import Place, crop
from robustcnn.core.norms.batched import pick
from robustcnn.core.progress import Progress, tell
from robustcnn.core.waiting import HOSTS, split, wait_for
from robustcnn.fast.view import CoarseView, exact_logits

EVERY = 8
"""Steps between two counts where counting makes the host wait for a device."""
WORTH = 8
"""One in so many has to have succeeded before the others are copied to go on without it."""


class SearchState:
    """Keeps the worst image found for each example: fooled before not fooled, then the greater loss.

    With `stop`, an example keeps its first fooled image and is attacked no longer. A coarse view of a model only
    proposes: no example is dropped before the exact logits agree.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        targets: Tensor | None = None,
        stop: bool = True,
        planned: int = 0,
    ) -> None:
        self.model, self.stop = model, stop
        self.count, self.looks, self.planned = len(labels), 0, planned
        """Examples in all, steps until now, and steps in all (0: nobody knows): for whoever listens to the progress."""
        self._whole = images, labels, targets
        self.images, self.labels, self.targets = images, labels, targets
        """Of the examples still attacked, like all that the methods take and return."""
        self.rows = torch.arange(len(labels), device=labels.device)
        """Where these are in the whole batch."""
        self.found, self._result = images.clone(), images
        self.score = torch.full(labels.shape, -torch.inf, dtype=images.dtype, device=images.device)
        """The loss of what was found; with `stop`, inf for a success."""
        self._success = torch.zeros_like(labels, dtype=torch.bool)
        self._resting = [each[:0] for each in self._own]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def kept(self) -> dict[str, Tensor | int]:
        """For a snapshot."""
        tensors = {"rows": self.rows, "found": self.found, "result": self._result, "score": self.score}
        resting = {f"resting {number}": each for number, each in enumerate(self._resting)}
        return {**tensors, **resting, "success": self._success, "looks": self.looks}

    def take_up(self, kept: Mapping[str, Any]) -> None:
        """Be as the snapshot says."""
        self.rows, self.found, self._result = kept["rows"], kept["found"], kept["result"]
        self.score, self._success, self.looks = kept["score"], kept["success"], kept["looks"]
        self._resting = [kept[f"resting {number}"] for number in range(len(self._resting))]
        self._look_up()

    def _look_up(self) -> None:
        images, labels, targets = self._whole
        self.images, self.labels = images[self.rows], labels[self.rows]
        self.targets = None if targets is None else targets[self.rows]

    @property
    def _own(self) -> tuple[Tensor, ...]:
        """All that an example brings with it when it is not attacked for a while."""
        return self.rows, self.found, self.score, self._success

    def rest(self, stay: Tensor, gone: Tensor) -> None:
        """Attack some no longer until all `rejoin`."""
        self._resting = [torch.cat([old, each[gone]]) for old, each in zip(self._resting, self._own, strict=True)]
        self.rows, self.found, self.score, self._success = (each[stay] for each in self._own)
        self._look_up()

    def rejoin(self) -> Tensor:
        """Those who went on first, then those who rested: where each is in the order that all are in again."""
        whole = [torch.cat(parts) for parts in zip(self._own, self._resting, strict=True)]
        order = whole[0].argsort()
        self.rows, self.found, self.score, self._success = (each[order] for each in whole)
        self._resting = [each[:0] for each in self._resting]
        self._look_up()
        return order

    @property
    def best_found(self) -> Tensor:
        """Of the whole batch."""
        return self._result.index_copy(0, self.rows, self.found)

    @property
    def succeeded(self) -> Tensor:
        """Which reached the goal."""
        return self.score.isposinf() if self.stop else self._success

    def is_success(self, logits: Tensor) -> Tensor:
        """Whether these logits are what the attacker wants."""
        return is_fooled(logits, self.labels) if self.targets is None else logits.argmax(1) == self.targets

    def rank(self, loss: Tensor, logits: Tensor) -> Tensor:
        """The loss, or inf where the goal is reached; no number is no answer, and reaches it too."""
        most, (greatest, predicted) = torch.finfo(self.score.dtype).max, logits.max(1)
        reached = predicted != self.labels if self.targets is None else predicted == self.targets
        # 0, and no number where the greatest logit is none or infinite.
        loss = torch.add(loss, greatest, alpha=0).to(self.score.dtype)
        unanswered = torch.inf if self.targets is None else -torch.inf
        return loss.nan_to_num_(nan=unanswered, posinf=most, neginf=-torch.inf).masked_fill_(reached, torch.inf)

    def update(
        self, candidates: Tensor, loss: Tensor, logits: Tensor, *, ranked: bool = True, place: Place | None = None
    ) -> Tensor:
        """Keep each candidate that is worse than the best found so far; not `ranked`: only those that succeed.

        Returns which were kept. With a `place`, the candidates are only the pixels there.
        """
        if self.stop:
            score = self.rank(loss if ranked else torch.zeros_like(loss), logits)
            # Below every loss that a restart may end with.
            score = score if ranked else score.masked_fill_(score == 0, -torch.inf)
            better = score > self.score
            self.score = torch.fmax(self.score, score)
        else:
            success = self.is_success(logits)
            better = (success & ~self._success) | ((success == self._success) & (loss > self.score))
            self._success = self._success | success
            self.score = torch.where(better, loss.to(self.score.dtype), self.score)
        if place is None:
            self.found = pick(better, candidates, self.found)
        else:
            part = crop(self.found, place)
            part.copy_(pick(better, candidates, part))
        return better

    def take(self, found: Tensor, score: Tensor) -> None:
        """Keep what another bookkeeping found, as far as its score is greater."""
        self.found = pick(score > self.score, found, self.found)
        self.score = torch.fmax(self.score, score)

    def is_due(self, step: int) -> bool:
        """Whether to count after this step: each on a CPU, elsewhere 0, 1, 2, 4, 8, 16, 24, ..."""
        self.looks += 1
        if self.rows.device.type in HOSTS:
            tell(self._progress)
        return self.stop and (self.score.device.type in HOSTS or not step % EVERY or not step & (step - 1))

    def _progress(self) -> Progress:
        share = min(self.looks / self.planned, 1.0) if self.planned else 0.0
        decided = self.count - len(self) + int(self.succeeded.sum())
        return Progress(attack="search", decided=decided, count=self.count, share=share)

    def compact(self, step: int = 0) -> Tensor | None:
        """Drop what succeeded once it is an eighth; returns who stays, or None when nothing was dropped.

        Call it once a step.
        """
        if not self.is_due(step) or not self.is_worth_dropping(self.score):
            return None
        return self.drop_succeeded()

    def is_worth_dropping(self, score: Tensor) -> bool:
        """Whether an eighth has succeeded, by a score that may not have been taken yet."""
        return wait_for(score.isposinf().sum()) * WORTH >= max(len(self), 1)

    def finish_restart(self, candidates: Tensor, loss: Tensor, logits: Tensor) -> None:
        """Keep the last candidates of a restart as far as they are worse; the logits are the exact ones."""
        self._confirm()
        self.update(candidates, loss, logits)
        if self.stop:
            self.drop_succeeded()

    def drop_succeeded(self) -> Tensor | None:
        """Attack no longer what has succeeded for the exact model; returns who stays, or None when all do."""
        self._confirm()
        stay, gone = split(self.succeeded)
        if not len(gone):
            return None
        self._result = self.best_found
        self.rows, self.images, self.labels = self.rows[stay], self.images[stay], self.labels[stay]
        self.found, self.score, self._success = self.found[stay], self.score[stay], self._success[stay]
        self.targets = None if self.targets is None else self.targets[stay]
        return stay

    def _confirm(self) -> None:
        if not isinstance(self.model, CoarseView):
            return
        _, claimed = split(self.succeeded)
        if not len(claimed):
            return
        logits = exact_logits(self.model, self.found[claimed])
        true = self.labels[claimed] if self.targets is None else self.targets[claimed]
        agreed = is_fooled(logits, true) if self.targets is None else logits.argmax(1) == true
        self.score = self.score.index_put((claimed,), torch.where(agreed, self.score[claimed], -torch.inf))
        self._success = self._success.index_put((claimed,), agreed)
