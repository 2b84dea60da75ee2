"""Evaluation as a user meets it: any name of a model in, a report on disk, in the tracker and on the screen out."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from robustcnn.cli.main import main
from robustcnn.data.registry import DataConfig, load
from robustcnn.data.resident import ResidentDataset
from robustcnn.runs.evaluate_config import EvaluateConfig, headline_ball, plan_of
from robustcnn.runs.evaluations import latest, read_report, strongest
from robustcnn.runs.find_model import find
from robustcnn.tracking import read_place

TINY = ["--data.name", "digits", "--model.name", "logistic", "--fit.epochs", "1", "--threads", "1"]
QUICK = ["--suite", "quick", "--count", "40", "--eps", "0.05", "0.1", "--threads", "1"]
RUNS = Path("mlruns/checkpoints")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A trained run named `mine`, in a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY, "--name", "mine", "--no-track"]) == 0
    capsys.readouterr()
    return RUNS / "mine"


def test_a_run_is_evaluated_reported_and_compared(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "mine", *QUICK, "--no-track"]) == 0
    told = capsys.readouterr().out
    assert "robust accuracy, linf 0.1" in told
    assert "verdict on the measurement:" in told
    folder = latest(run)
    assert folder is not None
    report = read_report(folder)
    assert (report.count, [threat.eps for threat in report.threats]) == (40, [0.05, 0.1])
    assert report.findings
    assert "</html>" in (folder / "report.html").read_text()
    assert main(["compare", "mine"]) == 0
    assert "mine" in Path("mlruns/comparison/report.csv").read_text()


def test_the_lowest_figure_of_a_runs_evaluations_is_its_headline(run: Path) -> None:
    strong = [
        "--attacks",
        "pgd(steps=20)",
        "--count",
        "40",
        "--eps",
        "0.1",
        "--threads",
        "1",
        "--no-track",
        "--no-checks",
    ]
    weak = ["--attacks", "noise", *strong[2:]]
    assert main(["evaluate", "mine", *strong]) == 0
    found = latest(run)
    assert found is not None
    assert main(["evaluate", "mine", *weak]) == 0
    assert latest(run) != found
    report = strongest(run).report
    assert report is not None
    assert report.threats == read_report(found).threats
    assert report.made_by["lowest in linf 0.1"] == found.name
    assert strongest(run).accuracy == report.clean.accuracy


def test_the_same_command_again_gives_the_same_report(run: Path) -> None:
    reports = []
    for _ in range(2):
        assert main(["evaluate", "mine", *QUICK, "--no-track", "--no-checks"]) == 0
        folder = latest(run)
        assert folder is not None
        plain = json.loads((folder / "report.json").read_text())
        reports.append({key: value for key, value in plain.items() if key != "made_by"})
    assert reports[0] == reports[1]


@pytest.mark.slow
def test_an_evaluation_adds_to_the_run_that_was_tracked_while_it_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY, "--name", "mine"]) == 0
    assert main(["evaluate", "mine", *QUICK]) == 0
    place = read_place(RUNS / "mine")
    assert place is not None
    client = MlflowClient(place.tracking_uri)
    known = client.get_run(place.run_id).data
    assert {"accuracy", "robust_accuracy", "robust/linf_0.1", "test_best/accuracy", "fit/valid_loss"} <= set(
        known.metrics
    )
    assert known.tags["verdict"] in ("pass", "warn", "fail")
    assert len(client.get_metric_history(place.run_id, "curve/worst_linf")) == 3
    assert find(place.run_id, RUNS).folder.name == find(f"runs:/{place.run_id}", RUNS).folder.name == "mine"


@pytest.mark.slow
def test_a_checkpoint_that_only_mlflow_has_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY, "--name", "mine"]) == 0
    place = read_place(RUNS / "mine")
    assert place is not None
    client = MlflowClient(place.tracking_uri)
    client.create_registered_model("reader")
    version = client.create_model_version("reader", f"runs:/{place.run_id}/checkpoint", place.run_id)
    client.set_registered_model_alias("reader", "champion", version.version)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.tracking_uri)
    found = find("models:/reader@champion", Path("elsewhere"))
    ours = find("mine", RUNS)
    for name, tensor in ours.model.state_dict().items():
        assert torch.equal(tensor, found.model.state_dict()[name])
    assert found.folder.parent == Path("elsewhere")


def test_any_function_that_makes_a_module_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nets_for_a_test.py").write_text(
        "from torch import nn\n\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(1024, 10))\n"
    )
    assert isinstance(find("nets_for_a_test:make", RUNS).model, nn.Sequential)
    # The second time its weights are others, as after a training: an evaluation of its own.
    for _ in range(2):
        assert main(["evaluate", "nets_for_a_test:make", *QUICK, "--no-track", "--no-checks"]) == 0
    assert len(list((RUNS / "nets_for_a_test.make" / "evaluations").iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate"], "evaluate wants a MODEL before the options, got none"),
        (["evaluate", "a", "a"], "wants each MODEL once, got a more often"),
        (["evaluate", "absent"], "no model 'absent'"),
        (["evaluate", "mime"], "did you mean 'mine'?"),
        (["evaluate", "mine", "--attacks", "pdg"], "did you mean 'pgd'?"),
        (["evaluate", "mine", "--eps", "8"], "did you mean 8 / 255?"),
        (["evaluate", "mine", "--count", "0"], "count must be at least 1, got 0"),
        (["evaluate", "mine", "--data.name", "signs"], "images must be"),
        (["evaluate", "nothing_here:make"], "cannot find nothing_here:make"),
        (["evaluate", "math:pi"], "must return a torch.nn.Module, got float"),
        (["compare"], "compare wants the names of runs, got none"),
        (["compare", "absent"], "holds neither a run nor an evaluation"),
        (["sync", "absent"], "holds nothing to upload"),
    ],
)
def test_a_mistake_is_one_line(run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("asked", "found", "told"),
    [
        ((), (4 / 255, 8 / 255), 8 / 255),
        ((), (2 / 255, 4 / 255, 8 / 255, 16 / 255), 8 / 255),
        ((4 / 255, 8 / 255, 16 / 255), (4 / 255, 8 / 255, 16 / 255), 8 / 255),
        ((1 / 255, 2 / 255), (1 / 255, 2 / 255), 2 / 255),
    ],
)
def test_the_headline_is_about_the_usual_ball(
    asked: tuple[float, ...], found: tuple[float, ...], told: float, tiny_colour: ResidentDataset
) -> None:
    config = EvaluateConfig(data=DataConfig(name="cifar10"), eps=asked)
    threats = [SimpleNamespace(norm="linf", eps=eps) for eps in found]
    assert headline_ball(config, tiny_colour, SimpleNamespace(threats=threats)) == ("linf", told)  # type: ignore[arg-type]


def test_usual_radii_are_those_of_the_papers() -> None:
    data = load(DataConfig(name="digits")).test
    plan = plan_of(EvaluateConfig(suite="standard"), data, nn.Identity())
    assert [round(threat.eps, 6) for threat in plan.threats] == [0.05, 0.1]
    assert [repr(attack) for attack in plan.attacks] == ["AutoAttack()"]


def test_a_universal_perturbation_is_learnt_on_training_pictures() -> None:
    data = load(DataConfig(name="digits")).test
    model = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 10))
    plan = plan_of(EvaluateConfig(attacks=("universal(epochs=1)",), eps=(0.1,)), data, model)
    (attack,) = plan.attacks
    assert repr(attack) == "Universal(epochs=1) fitted on 1,000 images"
    images = torch.rand(3, 1, 32, 32)
    change = attack(model, images, torch.zeros(3, dtype=torch.int64), plan.threats[0]) - images
    learnt = attack.changes["linf 0.1"]
    torch.testing.assert_close(change, (images + learnt).clamp(0, 1) - images)
