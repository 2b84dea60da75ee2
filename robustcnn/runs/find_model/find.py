"""One name, one model: the kinds of sources, and which of them a name belongs to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

from robustcnn.core.plain_data import did_you_mean
from robustcnn.core.runtime import to_evaluation
from robustcnn.models import checkpoint
from robustcnn.models.normalised import Normalised
from robustcnn.runs.find_model.files import exported_program, onnx_file
from robustcnn.runs.find_model.libraries import robustbench_model, timm_model, torchvision_model
from robustcnn.runs.find_model.ours import find_ours, trained_runs
from robustcnn.runs.find_model.service import service
from robustcnn.runs.find_model.victim import SourceConfig, Victim

SOURCES: dict[str, Callable[[str, SourceConfig], nn.Module]] = {
    "torchvision": torchvision_model,
    "timm": timm_model,
    "robustbench": robustbench_model,
    "onnx": onnx_file,
    "pt2": exported_program,
    "http": service,
    "https": service,
}
"""By what a name begins with; each is given what comes after the colon, a service its whole address."""
SERVICES = ("http", "https")


def is_foreign(text: str) -> bool:
    """Whether a name belongs to a source that is not ours."""
    return text.partition(":")[0] in SOURCES and ":" in text


def find(text: str, runs: Path, *, which: checkpoint.Which = "best", source: SourceConfig | None = None) -> Victim:
    """A run by name or MLflow id, a checkpoint folder, runs:/ID, models:/NAME@ALIAS, package.module:function,
    torchvision:NAME[:FILE], timm:NAME[:FILE], robustbench:NAME, onnx:FILE, pt2:FILE or http://HOST/PATH."""
    options = source or SourceConfig()
    victim = _foreign(text, runs, options) if is_foreign(text) else find_ours(text, runs, which=which)
    if victim is not None:
        if not options.mean:
            return victim
        return replace(victim, model=to_evaluation(Normalised(victim.model, options.mean, options.std)))
    names = [folder.name for folder in trained_runs(runs)]
    hint = did_you_mean(text, names) if names else "; no run has been trained there yet"
    raise FileNotFoundError(
        f"no model {text!r}: neither a run in {runs} nor a checkpoint folder{hint}; "
        f"other sources: {', '.join(f'{kind}:' for kind in SOURCES)}, package.module:function"
    )


def _foreign(text: str, runs: Path, options: SourceConfig) -> Victim:
    kind, _, rest = text.partition(":")
    model = SOURCES[kind](text if kind in SERVICES else rest, options)
    slug = re.sub(r"[^\w.-]+", "-", text).strip("-.")
    return Victim(name=text, model=to_evaluation(model), folder=runs / slug)
