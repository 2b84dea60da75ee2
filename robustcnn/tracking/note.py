"""A run's description in MLflow: the verdict, the figures with their intervals, how to have them again, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from robustcnn.core.audited import Audited
from robustcnn.core.results import RobustnessReport, Share, passed

RUN = "{run_id}"
"""Stands for the run's id, which is not known before the run is uploaded."""
LONGEST_NOTE = 7_500
"""MLflow takes 8,000 characters of a tag."""


def trained_note(*, accuracy: float, name: str, command: str, figures: Sequence[str]) -> str:
    """Of a run that was trained and not yet judged."""
    return _page(
        f"**Not evaluated yet.** Test accuracy {100 * accuracy:.1f} %, nobody attacking.",
        _code("made by", command),
        _code("to evaluate it", f"robustcnn evaluate {name}"),
        _figures(figures),
    )


def evaluated_note(report: RobustnessReport, *, command: str, figures: Sequence[str]) -> str:
    """Of a run that was judged."""
    return _page(_verdict(report), _table(report), _code("made by", command), _figures(figures))


def _verdict(report: RobustnessReport) -> str:
    bad = [f"- *{each.verdict}*, {each.check}: {each.says}" for each in report.findings if each.speaks_up]
    if not report.findings:
        return "**The measurement was not checked.**"
    verdict = f"**Can these figures be trusted? {str(report.verdict).upper()}**"
    return "\n".join([f"{verdict}: {passed(report.findings)}.", "", *bad])


def _table(report: RobustnessReport) -> str:
    # Not above: the uploading process, which writes no table, need not wait for torch.
    from robustcnn.core.threat import ThreatModel

    rows: list[tuple[str, Share | Audited]] = [("clean", report.clean.accuracy)]
    for threat in sorted(report.threats, key=lambda each: (each.norm, each.eps) != report.headline):
        ball = ThreatModel(norm=threat.norm, eps=threat.eps)
        rows.append((f"robust, {ball}", threat.robust))
        if threat.audit:
            rows.append((f"robust, {ball}, {threat.audit.says}", threat.audit))
        if proof := report.proof(threat.norm, threat.eps):
            rows.append((f"proven, {ball}", proof.proven))
    lines = [f"| {name} | {_percent(share)} |" for name, share in rows]
    return "\n".join(
        [f"| accuracy of {report.count:,} examples of {report.data} | 95 % interval |", "|---|---|", *lines]
    )


def _percent(share: Share | Audited) -> str:
    if share.value is None:
        return "undefined |"
    return f"**{100 * share.value:.1f} %**, {100 * share.low:.1f} to {100 * share.high:.1f}"


def _code(what: str, command: str) -> str:
    return f"{what}: `{command}`"


def _figures(paths: Sequence[str]) -> str:
    return "\n\n".join(f"![{path}](get-artifact?path={quote(path)}&run_uuid={RUN})" for path in paths)


def _page(*parts: str) -> str:
    text = ""
    for part in filter(None, parts):
        longer = f"{text}\n\n{part}".strip()
        # What does not fit is left out whole, so that no link is cut.
        text = longer if len(longer) <= LONGEST_NOTE else text
    return text
