"""What the search claims to have broken is broken when the judge looks."""

from __future__ import annotations

import torch

from robustcnn.core.losses import is_right
from robustcnn.core.results import Finding, Share
from robustcnn.core.runtime import evaluating
from robustcnn.evaluate.checks.bench import FEW, Bench, finding


def survival(bench: Bench) -> Finding:
    """The search's own word, in its own precision, against that of the model in float32, on the same pictures."""
    found, stands = bench.plain
    claimed = torch.zeros_like(stands)
    if len(found):
        with torch.no_grad(), evaluating(bench.view):
            # The view itself, not its `exact`: what is believed of a coarse search is the judge's to say.
            claimed = ~is_right(bench.view(found).float(), bench.data.labels[bench.right])
    kept = Share.of(int((claimed & ~stands).sum()), int(claimed.sum()))
    return finding(
        "successes survive the judge",
        f"{kept.hits} of {kept.count} successes of the search are confirmed",
        figure=kept.value,
        trouble="warn" if 1 - kept.high > FEW else None,
        tried=kept.count,
        cure="count only what is judged again by the model itself; if the search was in bf16, search in fp32",
    )
