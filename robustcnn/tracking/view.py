"""How MLflow's page on all runs opens: the columns that matter, the most robust first, curves over eps, pictures.

MLflow keeps a shared view as a tag of the experiment, which a link names.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

VIEW = "robustcnn"
TAG = f"mlflow.sharedViewState.{VIEW}"
METRICS = ("robust_accuracy", "accuracy", "certified_accuracy", "eps", "verdict", "seconds")
COLUMNS = (*(f"metrics.`{key}`" for key in METRICS), "tags.`group`")
SECTIONS = {"headline": "Headline", "eps": "Robust accuracy over eps", "pictures": "Pictures", "training": "Training"}
FOLDED = (
    "fit",
    "robust",
    "audited",
    "certified",
    "clean",
    "check",
    "curve",
    "corruption",
    "transfer",
    "interval",
    "gan",
    "Model metrics",
)
"""Families of metrics, folded up until somebody wants to look into them."""
NO_RANGE = {"xMin": None, "xMax": None, "yMin": None, "yMax": None}


def set_view(client: MlflowClient, experiment: str) -> None:
    """Keep the view with the experiment, unless it is there as it should be."""
    # Packed as MLflow's page packs its own: a tag holds 5,000 characters.
    packed = base64.b64encode(zlib.compress(json.dumps(view(), separators=(",", ":")).encode())).decode()
    text = f"deflate;{packed}"
    if client.get_experiment(experiment).tags.get(TAG) != text:
        client.set_experiment_tag(experiment, TAG, text)


def view() -> dict[str, Any]:
    """As MLflow's page reads it."""
    return {
        "orderByKey": "metrics.`robust_accuracy`",
        "orderByAsc": False,
        "selectedColumns": list(COLUMNS),
        # Else MLflow would sort the sections by name.
        "isAccordionReordered": True,
        "compareRunSections": [
            *(_section(uuid, name, shown=True) for uuid, name in SECTIONS.items()),
            *(_section(name, name, shown=False) for name in FOLDED),
        ],
        "compareRunCharts": [
            *(_bar(key) for key in ("robust_accuracy", "accuracy")),
            *(_over_eps(norm) for norm in ("linf", "l2", "l1")),
            *(_pictures(key) for key in ("attacked examples", "robustness curve")),
            *(_over_epochs(key) for key in ("fit/valid_accuracy", "fit/robust_accuracy", "fit/valid_loss")),
        ],
    }


def _section(uuid: str, name: str, *, shown: bool) -> dict[str, Any]:
    return {"uuid": uuid, "name": name, "display": shown, "isReordered": True, "deleted": False, "isGenerated": False}


def _chart(kind: str, section: str, name: str, **more: Any) -> dict[str, Any]:
    known = {"type": kind, "uuid": f"{section} {name}", "metricSectionId": section, "displayName": name}
    return known | {"isGenerated": False, "deleted": False} | more


def _bar(key: str) -> dict[str, Any]:
    return _chart("BAR", "headline", key, metricKey=key)


def _over_eps(norm: str) -> dict[str, Any]:
    axis = {"xAxisKey": "metric", "selectedXAxisMetricKey": f"eps/{norm}", "useGlobalXaxisKey": False}
    return _line("eps", f"curve/worst_{norm}", f"robust accuracy over {norm} eps", **axis)


def _over_epochs(key: str) -> dict[str, Any]:
    return _line("training", key, f"{key} over epochs", xAxisKey="step", selectedXAxisMetricKey="")


def _line(section: str, key: str, name: str, **axis: Any) -> dict[str, Any]:
    scales = {"scaleType": "linear", "xAxisScaleType": "linear", "range": NO_RANGE, "lineSmoothness": 0}
    y = {"metricKey": key, "selectedMetricKeys": [key], "yAxisKey": "metric", "yAxisExpressions": []}
    return _chart("LINE", section, name, **scales, **y, **axis)


def _pictures(key: str) -> dict[str, Any]:
    return _chart("IMAGE", "pictures", key, imageKeys=[key], step=0, showRunParams=True)
