"""Is one model more robust than another? Both are asked about the same examples, and only where they differ counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import Attack
from robustcnn.core.audited import Paired
from robustcnn.core.results import RobustnessReport
from robustcnn.core.runtime import derived_seed, seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset
from robustcnn.evaluate.exact import mcnemar, watched_mcnemar
from robustcnn.evaluate.plan import Plan
from robustcnn.evaluate.robustness import judge

BATCH = 50
"""Examples after which it is seen whether more are needed."""


def stood(report: RobustnessReport, threat: ThreatModel) -> Tensor:
    """Which examples (N,) of a report were robust in that ball."""
    for each in report.smallest:
        if each.norm == threat.norm and any((t.norm, t.eps) == (threat.norm, threat.eps) for t in report.threats):
            return torch.tensor([eps is None or eps > threat.eps for eps in each.eps], dtype=torch.bool)
    raise ValueError(f"{report.model} was not attacked in {threat} (evaluate it there: --norm {threat.norm} --eps ...)")


def paired_reports(first: RobustnessReport, second: RobustnessReport, threat: ThreatModel, *, seed: int = 0) -> Paired:
    """Two reports on the same examples, which are taken in a random order."""
    if first.fingerprint != second.fingerprint:
        raise ValueError(
            f"{first.model} and {second.model} were attacked on different examples ({first.data}, {first.count:,}; "
            f"{second.data}, {second.count:,}): a paired comparison needs the same"
        )
    order = torch.randperm(first.count, generator=seeded(seed))
    pair = [stood(report, threat)[order].int() for report in (first, second)]
    return _paired((first.model, second.model), threat, (pair[0] - pair[1]).tolist())


def paired_models(
    models: tuple[tuple[str, nn.Module], tuple[str, nn.Module]],
    data: ResidentDataset,
    attacks: Sequence[Attack],
    threat: ThreatModel,
    *,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> Paired:
    """Attack both batch by batch, in a random order, until the anytime-valid test is sure or none are left."""
    names, differences = (models[0][0], models[1][0]), list[int]()
    found = _paired(names, threat, differences)
    for rows in _batches(len(data), seed):
        plan = Plan(
            attacks=tuple(attacks), threats=(threat,), precision="fp32", block=BATCH, seed=derived_seed(seed, rows[0])
        )
        part = data.subset(torch.tensor(rows))
        first, second = (stood(judge(model, part, plan, name=name).report, threat).int() for name, model in models)
        differences += (first - second).tolist()
        found = _paired(names, threat, differences)
        say(found.says)
        if found.settled is not None:
            break
    return found


def _batches(count: int, seed: int) -> Iterator[list[int]]:
    for rows in torch.randperm(count, generator=seeded(seed)).split(BATCH):
        yield rows.tolist()


def _paired(names: tuple[str, str], threat: ThreatModel, differences: Sequence[int]) -> Paired:
    only_first, only_second = differences.count(1), differences.count(-1)
    anytime, settled = watched_mcnemar(differences)
    return Paired(
        first=names[0],
        second=names[1],
        ball=str(threat),
        count=len(differences),
        only_first=only_first,
        only_second=only_second,
        p=mcnemar(only_first, only_second),
        anytime_p=anytime,
        settled=settled,
    )
