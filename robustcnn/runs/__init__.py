"""A config in, a folder out: training, pre-training, evaluation, comparison."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from robustcnn.runs.compare import CompareVerb
    from robustcnn.runs.compare import compare as compare_runs
    from robustcnn.runs.evaluate import evaluate_model
    from robustcnn.runs.evaluate_config import EvaluateConfig
    from robustcnn.runs.find_model import find
    from robustcnn.runs.presets import PRESETS, preset
    from robustcnn.runs.pretrain import pretrain_run
    from robustcnn.runs.pretrain_config import PretrainConfig
    from robustcnn.runs.train import train as train_run
    from robustcnn.runs.train_config import TrainConfig

# Fetched on first use, as the rooms below need not all be woken for one verb.
_HOMES = {
    "CompareVerb": ("compare", "CompareVerb"),
    "EvaluateConfig": ("evaluate_config", "EvaluateConfig"),
    "PRESETS": ("presets", "PRESETS"),
    "PretrainConfig": ("pretrain_config", "PretrainConfig"),
    "TrainConfig": ("train_config", "TrainConfig"),
    "compare_runs": ("compare", "compare"),
    "evaluate_model": ("evaluate", "evaluate_model"),
    "find": ("find_model", "find"),
    "preset": ("presets", "preset"),
    "pretrain_run": ("pretrain", "pretrain_run"),
    "train_run": ("train", "train"),
}

__all__ = [
    "PRESETS",
    "CompareVerb",
    "EvaluateConfig",
    "PretrainConfig",
    "TrainConfig",
    "compare_runs",
    "evaluate_model",
    "find",
    "preset",
    "pretrain_run",
    "train_run",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        module, original = _HOMES[name]
        return getattr(import_module(f"robustcnn.runs.{module}"), original)
    raise AttributeError(f"module 'robustcnn.runs' has no attribute {name!r}")
