"""Our judge inside `mlflow.models.evaluate`: model_type "image-robustness", evaluators "robustcnn".

MLflow finds it by the entry point `mlflow.model_evaluator` and imports it into every evaluation of anything, so torch
waits until it is asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from robustcnn.core.plain_data import from_plain, to_plain
from robustcnn.core.results import RobustnessReport
from robustcnn.tracking.mlflow_tracker import result_in_run
from robustcnn.tracking.names import headline_points, report_points, report_tags, tag_texts
from robustcnn.tracking.records import Record

if TYPE_CHECKING:
    from torch import nn

    from robustcnn.attacks import Attack
    from robustcnn.data.resident import ResidentDataset

MODEL_TYPE = "image-robustness"


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatorConfig:
    """What `evaluator_config` may say."""

    shape: tuple[int, ...]
    """(channels, height, width) of the pictures, which MLflow hands on as flat rows of pixels in [0, 1]."""
    eps: tuple[float, ...]
    """Radii, such as 8/255."""
    norm: str = "linf"
    attacks: tuple[str, ...] = ()
    """Such as "pgd(steps=100)"; Square when not given, or the suite where there are gradients."""
    suite: Literal["quick", "standard", "full"] = "standard"
    gradients: bool = False
    """Differentiate the model, which its flavour must allow (pytorch does); else it is only asked for answers."""
    takes: Literal["images", "rows"] = "images"
    """What the model's predict wants: (N, C, H, W) or (N, C * H * W)."""
    seed: int = 0


class RobustnessEvaluator:
    """Attacks a model on a data set of flat pictures; the figures go to the run and into the result."""

    @classmethod
    def can_evaluate(cls, *, model_type: str, evaluator_config: Any = None, **_: Any) -> bool:  # noqa: ARG003
        """Only what is meant for us, else we should run inside unrelated evaluations."""
        return model_type == MODEL_TYPE

    def evaluate(self, *, dataset: Any, run_id: str, evaluator_config: dict[str, Any], model: Any, **_: Any) -> Any:
        """MLflow's EvaluationResult with every scalar of the report."""
        report = _judged(model, dataset, from_plain(EvaluatorConfig, evaluator_config, where="evaluator_config"))
        points = (*headline_points(report), *report_points(report))
        record = Record(what="report", points=points, tags=tag_texts(report_tags(report)))
        return result_in_run(run_id, record, text=json.dumps(to_plain(report), indent=1))


def _judged(model: Any, dataset: Any, config: EvaluatorConfig) -> RobustnessReport:
    from robustcnn.core.threat import ThreatModel
    from robustcnn.evaluate import evaluate

    victim = _differentiable(model) if config.gradients else _asked(model, config)
    threats = [ThreatModel(norm=config.norm, eps=eps) for eps in config.eps]
    return evaluate(victim, _pictures(victim, dataset, config), _attacks(config), threats, seed=config.seed)


def _attacks(config: EvaluatorConfig) -> tuple[Attack, ...]:
    from robustcnn.attacks import Square
    from robustcnn.evaluate import attack_named, suite

    if config.attacks:
        return tuple(map(attack_named, config.attacks))
    return suite(config.suite, config.norm) if config.gradients else (Square(),)


def _pictures(victim: nn.Module, dataset: Any, config: EvaluatorConfig) -> ResidentDataset:
    import numpy
    import torch

    from robustcnn.data.resident import ResidentDataset, spec_of

    rows, labels = (numpy.asarray(each) for each in (dataset.features_data, dataset.labels_data))
    if rows.ndim != 2 or rows.shape[1] != numpy.prod(config.shape):
        raise ValueError(f"evaluator_config.shape says {config.shape}, but the data are {rows.shape} rows of pixels")
    images = torch.from_numpy(rows.astype("float32")).reshape(-1, *config.shape)
    scores = victim(images[:2])
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise ValueError(
            f"the model's predict must give one score a class, (N, K), got {tuple(scores.shape)} for two pictures "
            "(for scikit-learn: log the model with pyfunc_predict_fn='predict_proba')"
        )
    spec = spec_of(images, tuple(map(str, range(scores.shape[1]))))
    return ResidentDataset(images=images, labels=torch.from_numpy(labels.astype("int64")), spec=spec, name=dataset.name)


def _asked(model: Any, config: EvaluatorConfig) -> nn.Module:
    from robustcnn.attacks import BlackBox

    return BlackBox(lambda images: model.predict((images.flatten(1) if config.takes == "rows" else images).numpy()))


def _differentiable(model: Any) -> nn.Module:
    from torch import nn

    raw = model.get_raw_model() if hasattr(model, "get_raw_model") else model

    class Borrowed(nn.Module):
        """Hides the module, for an exported one refuses to be switched to evaluation mode."""

        def forward(self, images: Any) -> Any:
            return raw(images)

    if not isinstance(raw, nn.Module):
        raise ValueError(f"gradients=True needs a model of the pytorch flavour, got {type(raw).__name__}")
    return Borrowed()
