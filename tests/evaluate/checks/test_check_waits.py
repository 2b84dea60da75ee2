"""How often the checks make a host wait for a device: for their answers, and for little else."""

from __future__ import annotations

from collections import Counter

import pytest
from checked_networks import DATA, victim
from waiting_noted import Waits, far_away

from robustcnn.attacks import square
from robustcnn.core.threat import ThreatModel
from robustcnn.evaluate.checks.run import run_checks

USUAL = 65
"""Of one check: each dataset, batch and answer is looked at once, and each attack counts the fallen now and then."""
MORE = {
    # The first to be told of: what all checks share, a first white box among it, lies before it.
    "finite gradients": 130,
    # An attack at each of five radii, and the datasets of what it left.
    "monotone curve": 105,
    # Two attacks and the white box itself, which all checks after this one share.
    "stronger than one step": 105,
    # 1,000 queries count the fallen every eighth time.
    "stronger than black box": 170,
    # foolbox's own loop: it asks after every step who is done.
    "stronger than labels alone": 500,
    # Two attacks, one of which looks at every image by itself.
    "off-grid detector": 110,
    # All images once more, in the batches of the judge.
    "no memory": 200,
}


@pytest.mark.slow
def test_checks_wait_for_answers_and_for_little_else(monkeypatch: pytest.MonkeyPatch) -> None:
    # What remembers sums asks who was kept, and works on a CPU alone.
    monkeypatch.setattr(square, "incremental_forward", lambda *_: None)
    model, waits, found, before = victim("robust network"), Waits(monkeypatch), Counter[str](), Counter[str]()

    def say(told: str) -> None:
        nonlocal before
        name = told.partition(":")[0].strip()
        name = next((check for check in MORE if name.endswith(check)), name)
        found[name] = (waits.lines - before).total()
        before = waits.lines.copy()

    with far_away(), waits:
        run_checks(model, DATA, ThreatModel(norm="linf", eps=0.03), count=16, say=say)
    assert len(found) > 30
    assert set(MORE) <= set(found)
    assert {name: count for name, count in found.items() if count > MORE.get(name, USUAL)} == {}
