"""Which of two runs is more robust, example by example: from what was kept of them, or by attacking both anew."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from robustcnn.core.audited import Paired
from robustcnn.core.results import RobustnessReport
from robustcnn.core.runtime import pick_device
from robustcnn.core.threat import ThreatModel
from robustcnn.evaluate.paired import paired_models, paired_reports
from robustcnn.report.entry import Entry, telling_ball
from robustcnn.runs.evaluate_config import EvaluateConfig, examples_of, plan_of
from robustcnn.runs.evaluations import latest, read_report
from robustcnn.runs.find_model import find
from robustcnn.runs.folder import Say


def paired(names: Sequence[str], runs: Path, *, say: Say = lambda _: None) -> list[Paired]:
    """Every pair of the runs."""
    if len(names) < 2:
        raise ValueError(f"paired needs at least two runs, got {', '.join(names) or 'none'}")
    return [_pair(first, second, runs, say) for first, second in combinations(names, 2)]


def _pair(first: str, second: str, runs: Path, say: Say) -> Paired:
    one, other = (latest(runs / name) for name in (first, second))
    if one and other:
        reports = read_report(one), read_report(other)
        if ball := _common_ball(*reports):
            return paired_reports(*reports, ball)
    say(f"{first} and {second} were not evaluated alike on the same examples: attacking both until it is sure")
    victims = [find(name, runs) for name in (first, second)]
    trained = victims[0].trained
    config = EvaluateConfig(runs=runs, count=None) if trained is None else EvaluateConfig(data=trained.data, count=None)
    data = examples_of(config).to(pick_device())
    plan = plan_of(config, data, victims[0].model)
    pair = (victims[0].name, victims[0].model.to(data.device)), (victims[1].name, victims[1].model.to(data.device))
    return paired_models(pair, data, plan.attacks, plan.threats[-1], seed=config.seed, say=say)


def _common_ball(first: RobustnessReport, second: RobustnessReport) -> ThreatModel | None:
    """Where both were attacked alike, and about half stands; None where they were not, or on different examples."""
    if first.fingerprint != second.fingerprint:
        return None
    balls = {(norm, eps) for norm, eps, *_ in _tried(first) & _tried(second)}
    entries = [Entry(name=report.model, report=report) for report in (first, second)]
    best = telling_ball(entries)
    if best is None or not balls:
        return None
    norm, eps = best if best in balls else max(balls)
    return ThreatModel(norm=norm, eps=eps)


def _tried(report: RobustnessReport) -> set[tuple[str, float, tuple[str, ...]]]:
    return {(each.norm, each.eps, tuple(score.attack for score in each.attacks)) for each in report.threats}
