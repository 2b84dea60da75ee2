"""`mlflow.models.evaluate` with our judge, found by its entry point as it is declared."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from robustcnn.tracking import Store
from robustcnn.tracking.evaluator import RobustnessEvaluator

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
EPS = 0.1
MARGINS = numpy.array([0.05, 0.15, 0.25, -0.05, -0.15, -0.25], dtype="float32")
"""Mean of the left half less that of the right one; the class is its sign."""
CONFIG = {"shape": [1, 4, 4], "eps": [EPS]}


def left_and_right(margins: numpy.ndarray) -> numpy.ndarray:
    """Flat pictures of 4x4 whose halves differ by so much."""
    images = numpy.full((len(margins), 4, 4), 0.5, dtype="float32")
    images[:, :, :2] += margins[:, None, None] / 2
    images[:, :, 2:] -= margins[:, None, None] / 2
    return images.reshape(len(margins), 16)


def scores(images: Any) -> numpy.ndarray:
    """A model whose robust accuracy is known: eps moves the difference of the halves by at most 2 eps."""
    flat = numpy.asarray(images).reshape(-1, 4, 4)
    difference = flat[:, :, :2].mean((1, 2)) - flat[:, :, 2:].mean((1, 2))
    return numpy.stack([difference, -difference], axis=1)


@pytest.fixture
def evaluate(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    import mlflow
    from mlflow.models.evaluation.evaluator_registry import _model_evaluation_registry as registry

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    home, _, name = project["entry-points"]["mlflow.model_evaluator"]["robustcnn"].partition(":")
    monkeypatch.setattr(registry, "_registry", registry._registry | {"robustcnn": getattr(import_module(home), name)})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", Store.of(runs).uri)
    experiment = mlflow.create_experiment("here", (runs.parent / "artifacts").as_uri())

    def run(model: Any, **config: Any) -> Any:
        with mlflow.start_run(experiment_id=experiment):
            return mlflow.models.evaluate(
                model,
                left_and_right(MARGINS),
                targets=(MARGINS < 0).astype("int64"),
                model_type="image-robustness",
                evaluators="robustcnn",
                evaluator_config=CONFIG | config,
            )

    return run


def test_a_black_box_is_judged_by_its_answers(evaluate: Callable[..., Any]) -> None:
    metrics = evaluate(scores).metrics
    assert metrics["accuracy"] == 1.0
    assert metrics[f"robust/linf_{EPS}"] == pytest.approx(1 / 3), "halves that differ by more than 2 eps stand"


def test_the_figures_and_the_page_are_in_the_run(evaluate: Callable[..., Any]) -> None:
    from mlflow import MlflowClient

    client = MlflowClient()
    run = client.get_run(evaluate(scores)._run_id)
    assert run.data.metrics[f"robust/linf_{EPS}"] == pytest.approx(1 / 3)
    assert run.data.tags["verdict"] == "unchecked"
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["robustness.json"]


def test_a_pytorch_model_is_attacked_by_its_gradients(evaluate: Callable[..., Any], tmp_path: Path) -> None:
    import mlflow.pytorch
    from mlflow.models import infer_signature

    class Halves(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            difference = images[..., :2].mean((1, 2, 3)) - images[..., 2:].mean((1, 2, 3))
            return torch.stack([difference, -difference], dim=1)

    example = numpy.zeros((2, 1, 4, 4), dtype="float32")
    signature = infer_signature(example, numpy.zeros((2, 2), dtype="float32"))
    mlflow.pytorch.save_model(
        Halves(), tmp_path / "model", signature=signature, input_example=example, pip_requirements=["torch"]
    )
    metrics = evaluate(str(tmp_path / "model"), gradients=True, attacks=["pgd(steps=5)"]).metrics
    assert metrics[f"robust/linf_{EPS}"] == pytest.approx(1 / 3)
    assert "curve/pgd_steps_5_linf" in metrics


def test_answers_that_are_no_scores_are_refused(evaluate: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"must give one score a class, \(N, K\), got \(2,\)"):
        evaluate(lambda images: scores(images).argmax(1))


def test_a_shape_that_does_not_fit_is_refused(evaluate: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"shape says \(3, 4, 4\), but the data are \(6, 16\)"):
        evaluate(scores, shape=[3, 4, 4])


@pytest.mark.parametrize("model_type", ["classifier", "regressor", "text", None])
def test_other_evaluations_are_left_alone(model_type: Any) -> None:
    assert not RobustnessEvaluator.can_evaluate(model_type=model_type)
