"""The picture of a search: which trainings no other one beats."""

from __future__ import annotations

from robustcnn.report import plots


def test_the_front_holds_what_nothing_beats_whichever_way_is_better() -> None:
    values = {"valid_accuracy": [0.9, 0.8, 0.7, 0.95], "train_loss": [0.3, 0.2, 0.5, 0.6]}
    figure = plots.sweep(
        {"fit.optim.lr": [0.1, 0.01, 1e-4, 0.05], "fit.optim.name": ["adam", "sgd", "sgd", "adam"]}, values
    )
    front = figure.axes[1].lines[-1].get_xydata().tolist()
    assert front == [[0.8, 0.2], [0.9, 0.3], [0.95, 0.6]]
    assert len(figure.axes[0].lines) == 4


def test_one_objective_needs_no_front() -> None:
    assert len(plots.sweep({"fit.epochs": [1, 2]}, {"valid_accuracy": [0.5, 0.6]}).axes) == 1
