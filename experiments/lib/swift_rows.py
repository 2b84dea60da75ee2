"""What experiment 22 keeps of its networks, and the rows that come of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lib.swift_nets import NETS
from robustcnn.core.results import VERDICTS
from robustcnn.core.threat import ThreatModel
from robustcnn.data import ResidentDataset
from robustcnn.evaluate import run_checks
from robustcnn.evaluate.audit import AuditConfig, audited


def checked(model: nn.Module, data: ResidentDataset, threat: ThreatModel) -> str:
    """The checklist's verdict, before any evaluation, and what did not pass."""
    findings = run_checks(model, data, threat, count=len(data))
    verdict = max((each.verdict for each in findings if each.tested), key=VERDICTS.index)
    bad = [each.check for each in findings if each.speaks_up]
    return f"{verdict}: {', '.join(bad[:2])}{' ...' if bad[2:] else ''}" if bad else verdict


def kept(path: Path) -> list[dict[str, Any]]:
    """The outcomes until now."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def row(name: str, outcomes: list[dict[str, Any]]) -> list[object]:
    """One network, on the examples that both have judged; costs are an example's."""
    parts = [each for each in outcomes if each["net"] == name]
    found = {each["start"]: each for each in parts if each["attack"] == "autoattack"}
    theirs = [found[start] for start in sorted(found)]
    verdict = next((each["verdict"] for each in parts if each["attack"] == "checklist"), "not asked")
    ours = max((each for each in parts if each["attack"] == "swift"), key=lambda each: each["count"], default=None)
    if not theirs or ours is None:
        return [name, "not measured"]
    left = np.concatenate([each["stands"] for each in theirs])
    stand = np.array(ours["stands"])[: len(left)]
    left = left[: len(stand)]
    price = [sum(each[what] for each in theirs) / len(left) for what in ("seconds", "passes")]
    own = [ours[what] / len(ours["stands"]) for what in ("seconds", "passes")]
    covered = np.mean([_covers(stand, left, seed) for seed in range(200)])
    paired = [len(left), left.sum(), stand.sum(), (stand > left).sum(), (left > stand).sum()]
    seconds = [f"{1000 * price[0]:.0f} / {1000 * own[0]:.1f}", f"{price[0] / own[0]:.1f}"]
    passes = [f"{price[1]:,.0f} / {own[1]:,.0f}", f"{price[1] / own[1]:.1f}"]
    return [
        name,
        NETS[name].threat,
        *paired,
        *seconds,
        *passes,
        f"{100 * covered:.0f} %",
        "yes" if ours["escalated"] else "no",
        verdict,
    ]


def _covers(stand: np.ndarray, left: np.ndarray, seed: int) -> bool:
    """Whether an audit of a half covers what AutoAttack says of all that stand."""
    rows, config = torch.tensor(stand).nonzero().flatten(), AuditConfig(count=max(1, int(stand.sum()) // 2))
    found = audited(rows, len(stand), config, seed=seed, attack=lambda _, few: int((left[few.numpy()] == 0).sum()))
    return bool(found.low <= (stand * left).mean() <= found.high)
