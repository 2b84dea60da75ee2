"""What all processes find out together about a model: each looks at its share of the examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from robustcnn.core.ranks import Ranks
from robustcnn.core.results import Scores
from robustcnn.core.rows import Rows
from robustcnn.core.runtime import Precision
from robustcnn.data.resident import ResidentDataset
from robustcnn.evaluate import score


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Share:
    """This process's examples of a data set."""

    data: ResidentDataset
    rows: Rows
    ranks: Ranks

    @classmethod
    def of(cls, data: ResidentDataset, ranks: Ranks) -> Share:
        rows = ranks.rows(len(data))
        mine = data if ranks.world == 1 else data.subset(torch.arange(rows.first, len(data), rows.step))
        return cls(data=mine, rows=rows, ranks=ranks)

    def mean(self, sums: Callable[[ResidentDataset], list[float]], *, count: int = 1) -> list[float]:
        """Over all examples, of what `sums` adds up over some."""
        # More processes than examples: some have none.
        own = sums(self.data) if len(self.data) else [0.0] * count
        total = torch.tensor(own, dtype=torch.float64, device=self.data.device)
        self.ranks.add_up([total])
        means: list[float] = (total / self.rows.total).tolist()
        return means


class Judge:
    """Loss and accuracy on the validation examples."""

    def __init__(self, data: ResidentDataset, ranks: Ranks, *, precision: Precision) -> None:
        self.share, self.precision = Share.of(data, ranks), precision

    def __call__(self, model: nn.Module) -> Scores:
        def sums(data: ResidentDataset) -> list[float]:
            scores = score(model, data, precision=self.precision)
            return [scores.loss * scores.count, hits(scores)]

        loss, accuracy = self.share.mean(sums, count=2)
        return Scores(count=self.share.rows.total, loss=loss, accuracy=accuracy)


def hits(scores: Scores) -> float:
    """How many were right."""
    return float(round(scores.accuracy * scores.count))
