"""Every finding has its place on the page that explains it."""

from __future__ import annotations

import re
from pathlib import Path

from checked_networks import DATA, victim

from robustcnn.core.threat import ThreatModel
from robustcnn.evaluate.checks.run import run_checks

PAGE = Path(__file__).parents[3] / "docs" / "trust.md"


def test_every_check_is_explained_under_its_own_name_and_no_other_is() -> None:
    explained = re.findall(r"^### (.*)$", PAGE.read_text(), re.MULTILINE)
    found = run_checks(victim("linear"), DATA.subset(9), ThreatModel(norm="linf", eps=0.02))
    assert sorted(explained) == sorted(each.check for each in found)
