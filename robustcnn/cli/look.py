"""Data sets and models as text and pictures for the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from robustcnn.data.registry import DataConfig, available, load
from robustcnn.models import ModelConfig, build, describe
from robustcnn.report.contact_sheet import contact_sheet


@dataclass(frozen=True, kw_only=True, slots=True)
class DataVerb:
    """Options of `robustcnn data`."""

    data: DataConfig = field(default_factory=DataConfig)
    samples: Path | None = None
    """Write sample pictures to this PNG file, one row a class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DescribeVerb:
    """Options of `robustcnn describe`."""

    model: ModelConfig = field(default_factory=lambda: ModelConfig(name="lenet5"))
    data: DataConfig = field(default_factory=DataConfig)


def sources() -> str:
    """The data sets by name, and which of them are here."""
    lines = [f"{'name':<14} {'here':<5} what"]
    for source in available(None):
        lines.append(f"{source.name:<14} {'yes' if source.present else 'no':<5} {source.description}")
        if not source.present:
            lines.append(f"{'':<20} {source.hint}")
    return "\n".join([*lines, "", "robustcnn data --data.name NAME looks into one of them"])


def data_set(options: DataVerb) -> str:
    """Sizes, classes and statistics; writes the samples that were asked for."""
    splits = load(options.data)
    spec = splits.train.spec
    lines = [
        f"{part:<11} {len(data):>7,} images   fingerprint {data.fingerprint}"
        for part, data in zip(splits._fields, splits, strict=True)
    ]
    mean, std = (", ".join(f"{value:.4f}" for value in values) for values in (spec.mean, spec.std))
    lines.append(f"pictures    {spec.channels} x {spec.height} x {spec.width}, mean {mean}, std {std}")
    counts = splits.train.counts.tolist()
    lines += [f"  {name:<24} {count:>7,} to train" for name, count in zip(spec.classes, counts, strict=True)]
    if options.samples is not None:
        contact_sheet(splits.train).save(options.samples)
        lines.append(f"samples in {options.samples}")
    return "\n".join(lines)


def model(options: DescribeVerb) -> str:
    """The layer table."""
    return str(describe(build(options.model, load(options.data).train.spec)))
