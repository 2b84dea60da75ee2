# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which of my runs is the robust one?
#
# Every training and evaluation writes to MLflow: config, curves, robustness with eps as the step, the checkpoint, the report. Here
# two networks are trained and attacked, then compared three ways: in a table, through MLflow's own API, and in its web page.

# %%
import os
import tempfile
from dataclasses import replace
from pathlib import Path

home = Path(tempfile.mkdtemp())
# A store of our own for this notebook; leave the line out to use ./mlruns, which all commands share.
os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{home}/mlflow.db"

from IPython.display import Markdown

from robustcnn.runs import CompareVerb, EvaluateConfig, compare_runs, evaluate_model, find, preset, train_run

# %% [markdown]
# Presets are configs; a run is a config with a name. `robustcnn train digits-quick --name plain` does the same.

# %%
for name, recipe in {"plain": "digits-quick", "robust": "digits-quick-robust"}.items():
    config = preset(recipe)
    config = replace(config, name=name, runs=home / "runs", fit=replace(config.fit, epochs=6))
    done = train_run(config)
    chosen = EvaluateConfig(runs=home / "runs", data=config.data, suite="quick", count=100, checks=False)
    evaluate_model(find(name, home / "runs"), chosen)
    print(f"{name}: test accuracy {100 * done.best.accuracy:.1f} %")

# %% [markdown]
# ## 1. One table and one page
# The same as `robustcnn compare plain robust`; `report.html` in the folder is self-contained and can be sent around.

# %%
print(compare_runs(["plain", "robust"], CompareVerb(runs=home / "runs", out=home / "comparison")))

# %% [markdown]
# ## 2. MLflow's own API
# Metrics are ordinary MLflow metrics. A robustness curve is one metric whose step is eps in 1/255, so that MLflow draws it.

# %%
import mlflow

mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
client = mlflow.MlflowClient()
found = client.search_runs([each.experiment_id for each in client.search_experiments()])
lines = ["| run | clean | metrics that speak of robustness |", "|---|---|---|"]
for run in found:
    robust = {key: value for key, value in run.data.metrics.items() if key.startswith("robust/linf")}
    told = ", ".join(f"`{key}` {value:.2f}" for key, value in sorted(robust.items()))
    lines.append(f"| {run.info.run_name} | {run.data.metrics['accuracy']:.2f} | {told} |")
Markdown("\n".join(lines))

# %%
curve = next(key for key in found[0].data.metrics if key.startswith("curve/"))
for run in found:
    points = sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, curve))
    print(f"{run.info.run_name:8}", "  ".join(f"{step}/255: {value:.2f}" for step, value in points))

# %% [markdown]
# ## 3. The web page
# `robustcnn ui plain robust` starts MLflow's page and prints links that open the curves of these two runs on top of each other.
#
# **What it means.** Clean accuracy alone would have chosen the wrong network for anybody with an adversary. **Larger:** the same
# store may be a server: set `MLFLOW_TRACKING_URI`, see `docs/mlflow-server.md`.
