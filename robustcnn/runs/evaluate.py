"""A whole evaluation of one model: attacks, checks, corruptions, transfer, one report on disk and in the tracker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from robustcnn.attacks import PGD
from robustcnn.attacks.black_box import black_box_in
from robustcnn.core.atomic_files import write_atomically
from robustcnn.core.ownership import owned
from robustcnn.core.plain_data import to_plain
from robustcnn.core.results import Finding, RobustnessReport, TransferScore, passed
from robustcnn.core.runtime import pick_device, use_threads
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset
from robustcnn.evaluate import Evidence, Judged, Plan, corruption_scores, judge, run_checks, transfer_matrix
from robustcnn.evaluate.checks.exam import exam_of
from robustcnn.evaluate.checks.run import CHECKS_IN_ALL
from robustcnn.evaluate.pieces import Job
from robustcnn.evaluate.robustness import bar_of, doubt
from robustcnn.evaluate.runner import After
from robustcnn.report.entry import Entry, say_ball, telling_ball
from robustcnn.report.gallery import gallery_of
from robustcnn.report.pages import PAGES, files_of
from robustcnn.report.tables import by_queries, comparison
from robustcnn.report.worst import TABLE, write_worst
from robustcnn.runs.evaluate_config import EvaluateConfig, examples_of, headline_ball, plan_of, slug
from robustcnn.runs.evaluations import FOLDER, keep, training_of
from robustcnn.runs.find_model import Victim, find
from robustcnn.runs.folder import Say, provenance
from robustcnn.runs.told import tell_evaluation
from robustcnn.tracking import SpooledTracker

if TYPE_CHECKING:
    from robustcnn.runs.pool.crew import PoolCrew

TOLD = ("suite", "attacks", "audit", "until", "norm", "eps", "count", "certify", "which", "precision", "seed")
"""Options that the tracker hears of."""
WORST = "worst"
"""In an evaluation's folder: the examples that were broken most surely."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """What an evaluation leaves behind."""

    report: RobustnessReport
    entry: Entry
    """All that is known of the model: the report, its training, some pictures."""
    folder: Path

    @property
    def table(self) -> str:
        """The figures and the findings that are no pass, as text."""
        entry = Entry(name=self.report.model, report=self.report)
        bad = [f"{each.verdict}: {each.says}" for each in self.report.findings if each.speaks_up]
        bad += [
            f"{say_ball((each.norm, each.eps))}: {each.escalated}" for each in self.report.threats if each.escalated
        ]
        queries = by_queries([entry])
        asked = ["", queries.text()] if queries.rows else []
        verdict = f"verdict on the measurement: {self.report.verdict or 'not checked'}"
        return "\n".join([comparison([entry]).text(), *asked, "", verdict, *bad])


def evaluate_model(
    victim: Victim, config: EvaluateConfig, *, crew: PoolCrew | None = None, say: Say = lambda _: None
) -> Evaluated:
    """Evaluate, keep the outcome and tell the tracker; an evaluation that was interrupted goes on where it stopped.

    A `crew` makes the pieces, and works through the checklist; without one this process does.
    """
    use_threads(config.threads)
    others = [find(name, config.runs) for name in config.transfer]
    device = pick_device(config.device)
    data = examples_of(config).to(device)
    box = black_box_in(victim.model.to(device))
    if box is not None:
        box.classes = box.classes or data.spec.num_classes
    plan = plan_of(config, data, victim.model)
    folder = victim.folder / FOLDER / slug(plan, config, data, victim.model)
    say(f"{victim.name}: {len(data):,} examples of {data.name}, {', '.join(map(str, plan.threats))}; kept in {folder}")
    with owned(folder), bar_of(victim.name, shown=crew is None) as bar:

        def aloud(line: str) -> None:
            with bar.external_write_mode():
                say(line)

        bar.total = CHECKS_IN_ALL if config.checks else 0
        return _evaluate(_Case(victim, data, plan, config, folder, aloud, crew, bar), others)


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """One model, what is asked about it, and who works on that."""

    victim: Victim
    data: ResidentDataset
    plan: Plan
    config: EvaluateConfig
    folder: Path
    """This process's own."""
    say: Say
    crew: PoolCrew | None
    bar: tqdm
    """Over attacks and checks."""


def _evaluate(case: _Case, others: Sequence[Victim]) -> Evaluated:
    victim, data, config, folder = case.victim, case.data, case.config, case.folder
    judged, ball = _judged(case)
    report = _completed(judged.report, victim, data, ball, config, others)
    evidence = next(each for each in judged.evidence if each.threat == ball)
    gallery = gallery_of(victim.model, data, evidence.adversarial, threat=str(ball))
    entry = replace(training_of(victim.folder), report=report, gallery=gallery)
    keep(folder, report, gallery)
    figures = _drawn(case, entry)
    write_worst(folder / WORST, evidence, data.classes)
    done = Evaluated(report=report, entry=entry, folder=folder)
    if config.track:
        _track(victim, config, done, figures, case.say)
    return done


def _drawn(case: _Case, entry: Entry) -> list[Path]:
    """Pages and pictures on disk; the pictures' paths."""
    wanted = {"figures": case.config.track}
    files = (case.crew and case.crew.draw(entry, **wanted)) or files_of(entry, **wanted)
    for name, content in files.items():
        write_atomically(case.folder / name, content)
    return [case.folder / name for name in files if name not in PAGES]


def _judged(case: _Case) -> tuple[Judged, ThreatModel]:
    """The attacks, the checklist, and what follows from it: AutoAttack where a cheap suite is in doubt, or an audit."""
    config = case.config

    def judged_with(after: After) -> Judged:
        options = {"batch_size": config.batch_size, "compile": config.compile, "folder": case.folder / "parts"}
        options |= {"after": after, "say": case.say}  # type: ignore[dict-item]
        options |= {"name": case.victim.name, "bar": case.bar, "crew": case.crew}  # type: ignore[dict-item]
        return judge(case.victim.model, case.data, case.plan, **options)  # type: ignore[arg-type]

    judged = judged_with(After())
    ball = _telling(judged.report)
    findings: tuple[Finding, ...] = ()
    if config.checks:
        findings = _checked(case, next(each for each in judged.evidence if each.threat == ball))
    after = After(audit=config.auditing, doubt=doubt(findings))
    if after != After():
        # What was found is on disk; only what follows is worked out.
        judged = judged_with(after)
    findings = (*judged.report.findings, *findings)
    return replace(judged, report=replace(judged.report, findings=findings)), ball


def _completed(
    report: RobustnessReport,
    victim: Victim,
    data: ResidentDataset,
    ball: ThreatModel,
    config: EvaluateConfig,
    others: Sequence[Victim],
) -> RobustnessReport:
    """With all that was asked for besides attacks and checks."""
    model, seed = victim.model, config.seed
    corrupts = config.corruptions or config.suite == "full"
    return replace(
        report,
        corruptions=corruption_scores(model, data, seed=seed) if corrupts else (),
        transfer=_transfer([victim, *others], data, ball, config) if others else (),
        made_by=provenance() | report.made_by,
        headline=headline_ball(config, data, report),
    )


def _checked(case: _Case, evidence: Evidence) -> tuple[Finding, ...]:
    """The findings, what the attacks broke counting as broken; what warns or fails is said, or all where asked."""
    config, model, data = case.config, case.victim.model, case.data

    def told(line: str) -> None:
        case.bar.update()
        case.bar.set_postfix_str(line.partition(":")[0])
        if config.verbose or not line.startswith(("pass", "not tested")):
            case.say(line)

    findings: tuple[Finding, ...] | None = None
    begun = case.bar.n
    if case.crew is not None:
        exam = exam_of(data, evidence.threat, seed=config.seed, precision=config.precision, evidence=evidence)
        job = Job(model=model, data=data, plan=case.plan, clean=evidence.clean_logits, batch_size=config.batch_size)
        findings = case.crew.check(job, exam, told)
    if findings is None:
        options = {"seed": config.seed, "precision": config.precision}
        findings = run_checks(model, data, evidence.threat, evidence=evidence, say=told, **options)  # type: ignore[arg-type]
    # A model that nothing more can be asked of is done with sooner.
    case.bar.total += case.bar.n - begun - CHECKS_IN_ALL
    case.say(verdicts(findings))
    return findings


def verdicts(findings: Sequence[Finding]) -> str:
    """One line on all checks."""
    others = [finding.check for finding in findings if finding.speaks_up]
    return f"{passed(findings)}{'; not: ' if others else ''}{', '.join(others)}"


def _telling(report: RobustnessReport) -> ThreatModel:
    """The ball that checks, transfer and pictures are about: where about half of what was right stands."""
    ball = telling_ball([Entry(name=report.model, report=report)])
    if ball is None:
        return ThreatModel(norm=report.threats[-1].norm, eps=report.threats[-1].eps)
    return ThreatModel(norm=ball[0], eps=ball[1])


def _transfer(
    victims: Sequence[Victim], data: ResidentDataset, threat: ThreatModel, config: EvaluateConfig
) -> tuple[TransferScore, ...]:
    models = {each.name: each.model.to(data.device) for each in victims}
    return transfer_matrix(models, data, PGD(steps=20), threat, seed=config.seed)


def _track(victim: Victim, config: EvaluateConfig, done: Evaluated, figures: Sequence[Path], say: Say) -> None:
    with SpooledTracker(victim.folder, say=say) as tracker:
        tracker.config({"evaluate": {name: value for name, value in to_plain(config).items() if name in TOLD}})
        tell_evaluation(tracker, victim.folder, done.folder, done.entry, figures, done.folder / WORST / TABLE)
