"""Models from elsewhere: files, libraries, and a service behind an address."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustcnn.attacks import BlackBox
from robustcnn.cli.main import main
from robustcnn.core.plain_data import from_plain
from robustcnn.core.results import RobustnessReport
from robustcnn.data import load
from robustcnn.evaluate import predict
from robustcnn.models.normalised import Normalised
from robustcnn.runs.find_model import SourceConfig, find
from robustcnn.runs.find_model import service as service_module


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(900, 10))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images)
        return logits


@pytest.fixture(scope="module")
def taught() -> Small:
    """A network that reads some digits."""
    model, train = Small(), load("digits").train
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(train.images.float() / 255), train.labels).backward()
        optimizer.step()
    return model.eval()


def pictures(count: int = 5) -> Tensor:
    return torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def exported(model: nn.Module, path: Path, *, count: int | None) -> None:
    shapes = None if count else ({0: torch.export.Dim("n")},)
    program = torch.export.export(model, (pictures(count or 3),), dynamic_shapes=shapes)
    torch.export.save(program, path)


@pytest.mark.parametrize("count", [None, 1, 4])
def test_an_exported_program_answers_any_number_of_pictures(taught: Small, tmp_path: Path, count: int | None) -> None:
    exported(taught, tmp_path / "net.pt2", count=count)
    model = find(f"pt2:{tmp_path / 'net.pt2'}", tmp_path).model
    torch.testing.assert_close(model(pictures()), taught(pictures()))
    leaf = pictures().requires_grad_()
    model(leaf).sum().backward()
    assert leaf.grad is not None


@pytest.mark.parametrize("fixed", [False, True])
def test_an_onnx_file_is_a_black_box_with_the_networks_scores(taught: Small, tmp_path: Path, fixed: bool) -> None:
    onnx_file(taught, tmp_path / "net.onnx", fixed=fixed)
    model = find(f"onnx:{tmp_path / 'net.onnx'}", tmp_path).model
    assert isinstance(model, BlackBox)
    torch.testing.assert_close(model(pictures()), taught(pictures()), rtol=1e-4, atol=1e-4)


def onnx_file(model: Small, path: Path, *, fixed: bool) -> None:
    """Written by hand: one convolution, ReLU, one matrix product."""
    from onnx import TensorProto, helper, numpy_helper, save

    conv, _, _, linear = model.net
    values = {
        "w": conv.weight,
        "b": conv.bias,
        "v": linear.weight,
        "c": linear.bias,
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["m"], kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("Relu", ["m"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("Gemm", ["f", "v", "c"], ["y"], transB=1),
    ]
    first = 2 if fixed else "n"
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [first, 1, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [first, 10])],
        [numpy_helper.from_array(value.detach().numpy(), name) for name, value in values.items()],
    )
    save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), str(path))


@dataclass
class Served:
    """A service that counts, and that may be told to fail or to answer otherwise."""

    model: nn.Module
    labels: bool = False
    npy: bool = False
    failures: int = 0
    sizes: list[int] = field(default_factory=list)
    address: str = ""

    def answer(self, body: bytes) -> bytes:
        if body.startswith(b"\x93NUMPY"):
            images = torch.from_numpy(np.load(io.BytesIO(body)))
        else:
            images = torch.tensor(json.loads(body)["images"])
        self.sizes.append(len(images))
        with torch.no_grad():
            scores = self.model(images)
        if self.npy:
            file = io.BytesIO()
            np.save(file, scores.numpy())
            return file.getvalue()
        answer: Any = {"labels": scores.argmax(1).tolist()} if self.labels else {"scores": scores.tolist()}
        return json.dumps(answer).encode()


@pytest.fixture
def served(taught: Small, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(service_module, "FIRST_PAUSE", 0.001)
    told = Served(model=taught)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if told.failures:
                told.failures -= 1
                self.send_error(503)
                return
            answer = told.answer(body)
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    told.address = f"http://127.0.0.1:{server.server_port}/predict"
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("sent", ["json", "npy"])
@pytest.mark.parametrize("npy", [False, True])
def test_a_service_is_asked_in_requests_of_the_size_allowed(
    served: Served, taught: Small, tmp_path: Path, sent: Any, npy: bool
) -> None:
    served.npy = npy
    options = SourceConfig(format=sent, request_size=2)
    model = find(served.address, tmp_path, source=options).model
    torch.testing.assert_close(model(pictures()).float(), taught(pictures()), rtol=1e-4, atol=1e-4)
    assert served.sizes == [2, 2, 1]


def test_a_service_that_fails_for_a_while_is_asked_again(served: Served, tmp_path: Path) -> None:
    served.failures = 3
    model = find(served.address, tmp_path, source=SourceConfig(retries=3)).model
    assert model(pictures()).shape == (5, 10)
    served.failures = 3
    again = find(served.address, tmp_path, source=SourceConfig(retries=2)).model
    with pytest.raises(ConnectionError, match=r"does not answer: HTTP Error 503.*asked 3 times .*goes on\)"):
        again(pictures())


def test_no_more_requests_a_second_than_allowed(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(service_module.time, "sleep", sleep)
    monkeypatch.setattr(service_module.time, "monotonic", lambda: now[0])
    model = find(served.address, tmp_path, source=SourceConfig(rate=4, request_size=1)).model
    model(pictures(3))
    assert slept == pytest.approx([0, 0.25, 0.25])


def test_the_budget_of_queries_is_not_overdrawn(served: Served, tmp_path: Path) -> None:
    model = find(served.address, tmp_path, source=SourceConfig(queries=8)).model
    model(pictures(5))
    with pytest.raises(
        ValueError, match=r"the budget of 8 queries does not suffice: 5 are spent and 5 more are wanted"
    ):
        model(pictures(5))
    assert sum(served.sizes) == 5


def test_what_a_service_answers_is_checked(served: Served, tmp_path: Path) -> None:
    for answer, said in (
        (b"<html>", "must answer with JSON or npy, answered '<html>'"),
        (b'{"error": "no"}', "must name its answer scores or .*, named error"),
        (b"[[1, 2]]", "must answer 5 pictures, answered 1"),
    ):
        served.answer = lambda _, answer=answer: answer  # type: ignore[method-assign, assignment]
        with pytest.raises(ValueError, match=said):
            find(served.address, tmp_path).model(pictures())


@pytest.mark.parametrize("labels", [False, True])
def test_a_service_is_evaluated_with_the_queries_that_each_success_took(
    served: Served, tmp_path: Path, labels: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    served.labels = labels
    command = ["evaluate", served.address, "--runs", str(tmp_path), "--count", "8", "--suite", "quick", "--no-track"]
    command += ["--eps", "0.2", "--format", "npy", "--answers", "labels" if labels else "scores"]
    assert main(command) == 0
    (page,) = tmp_path.glob("http*/evaluations/*/report.json")
    report = from_plain(RobustnessReport, json.loads(page.read_text()))
    (threat,) = report.threats
    asked = [score.queries for score in threat.attacks]
    assert all(asked)
    hits = threat.attacks[-1]
    assert hits.queries is not None
    assert hits.queries.median is not None
    assert hits.queries.curve[0] == (0, report.clean.accuracy.value)
    assert hits.queries.curve[-1][1] == pytest.approx(hits.metrics.accuracy.value)
    assert [accuracy for _, accuracy in hits.queries.curve] == sorted(
        (accuracy for _, accuracy in hits.queries.curve), reverse=True
    )
    assert threat.robust.value < report.clean.accuracy.value
    assert "median queries of a success" in capsys.readouterr().out
    assert report.verdict == "warn"


def test_an_own_torchvision_network_comes_with_its_file(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from torchvision import models

    torch.manual_seed(0)
    net = models.squeezenet1_1(num_classes=7).eval()
    save_file(net.state_dict(), tmp_path / "own.safetensors")
    images = torch.rand(2, 3, 64, 64)
    found = find(f"torchvision:squeezenet1_1:{tmp_path / 'own.safetensors'}", tmp_path).model
    torch.testing.assert_close(found(images), net(images))
    told = SourceConfig(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    normalised = find(f"torchvision:squeezenet1_1:{tmp_path / 'own.safetensors'}", tmp_path, source=told).model
    torch.testing.assert_close(normalised(images), net((images - 0.5) / 0.25))


def test_an_own_timm_network_comes_with_its_file(tmp_path: Path) -> None:
    import timm

    torch.manual_seed(0)
    net = timm.create_model("resnet10t", num_classes=5).eval()
    torch.save(net.state_dict(), tmp_path / "own.pt")
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(find(f"timm:resnet10t:{tmp_path / 'own.pt'}", tmp_path).model(images), net(images))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm:resnet10t", "no weights for timm:resnet10t: .*--download"),
        ("timm:resnet99t", "timm has no model 'resnet99t'"),
        ("torchvision:resnet19", r"torchvision has no ImageNet classifier 'resnet19' \(did you mean"),
        ("torchvision:resnet18:no.pt", "no.pt: there is no such file of weights"),
        ("robustbench:Carmon2019Unlabeled", "need the package robustbench, which is not installed"),
        ("onnx:no.onnx", "no.onnx: there is no such file"),
        ("pt2:no.pt2", "no.pt2: there is no such file"),
        ("nosuch", "no model 'nosuch'.*other sources: torchvision:, timm:, robustbench:, onnx:, pt2:, http:"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises((ValueError, FileNotFoundError), match=said) as caught:
        find(name, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_a_file_of_another_kind_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("<html>")
    with pytest.raises(ValueError, match="page is no "):
        find(f"{kind}:{tmp_path / 'page'}", tmp_path)


def test_mean_and_std_belong_together() -> None:
    with pytest.raises(ValueError, match="mean and std belong together"):
        SourceConfig(mean=(0.5,))
    with pytest.raises(ValueError, match="mean and std are of 3 channels, the images have 1"):
        Normalised(nn.Flatten(), (0.5,) * 3, (0.25,) * 3)(pictures())


def test_a_victim_of_labels_only_is_told_how_many_classes_there_are(taught: Small) -> None:
    digits = load("digits").test.subset(20)
    ask = lambda images: taught(images).argmax(1)  # noqa: E731
    with pytest.raises(ValueError, match="has to be told how many classes"):
        predict(BlackBox(ask, answers="labels"), digits)
    told = predict(BlackBox(ask, answers="labels", classes=10), digits)
    assert torch.equal(told.argmax(1), predict(taught, digits).argmax(1))
    with pytest.raises(ValueError, match=r"one label in 0\.\.1 for each"):
        predict(BlackBox(ask, answers="labels", classes=2), digits)


def test_a_transfer_to_nobody_is_refused_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text("from torch import nn\nnet = nn.Sequential(nn.Flatten(), nn.Linear(1024, 10))\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert main(["evaluate", "mine:net", "--count", "20", "--transfer", "nosuch", "--runs", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert "no model 'nosuch'" in told.err
    assert told.out == ""
