"""Links into MLflow's web page: its side about model training, which by itself it does not open on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from robustcnn.tracking.view import VIEW

SIDE = "workflowType=machine_learning"
ROBUST = "metrics.`robust_accuracy`"


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """Pages about some runs of one experiment."""

    base: str
    """The server's address."""
    experiment: str
    """Its id."""
    runs: Sequence[str] = ()
    """Ids."""

    @property
    def table(self) -> str:
        """All runs of the experiment, the most robust first, with the columns and charts that matter."""
        return f"{self._runs}&viewStateShareKey={VIEW}"

    @property
    def _runs(self) -> str:
        return f"{self.base}/#/experiments/{quote(self.experiment)}/runs?{SIDE}"

    @property
    def charts(self) -> str:
        """Every metric of these runs, side by side; of all the experiment's when there are none."""
        these = f"attributes.run_id IN ({', '.join(map(repr, self.runs))})"
        chosen = f"&searchFilter={quote(these)}&orderByKey={quote(ROBUST)}&orderByAsc=false" if self.runs else ""
        return f"{self._runs}&compareRunsMode=CHART{chosen}"

    @property
    def comparison(self) -> str:
        """Parameters and metrics of these runs, one a column."""
        return f"{self.base}/#/compare-runs?{self._chosen}"

    def curves(self, *metrics: str) -> str:
        """These metrics of these runs, overlaid in one plot over their steps."""
        first, all_ = _quoted(metrics[0]), _quoted(metrics)
        return f"{self.base}/#/metric?{self._chosen}&metric={first}&plot_metric_keys={all_}&x_axis=step"

    @property
    def _chosen(self) -> str:
        return f"runs={_quoted(self.runs)}&experiments={_quoted([self.experiment])}"


def _quoted(value: object) -> str:
    return quote(json.dumps(value))
