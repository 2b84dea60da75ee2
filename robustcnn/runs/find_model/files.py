"""Networks in files: ONNX as a black box, torch's exported programs as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robustcnn.attacks import BlackBox
from robustcnn.core.runtime import first_line
from robustcnn.runs.find_model.victim import SourceConfig

NUMBERS = {"tensor(float)": torch.float32, "tensor(double)": torch.float64, "tensor(float16)": torch.float16}


def onnx_file(name: str, options: SourceConfig) -> nn.Module:
    """A black box: onnxruntime computes no gradients."""
    path = _existing(name)
    try:
        import onnxruntime
    except ImportError:
        raise ValueError("onnx: needs onnxruntime, which is not installed (pip install 'robustcnn[onnx]')") from None
    threads = onnxruntime.SessionOptions()
    threads.intra_op_num_threads, threads.log_severity_level = torch.get_num_threads(), 3
    try:
        session = onnxruntime.InferenceSession(str(path), threads, providers=["CPUExecutionProvider"])
    except Exception as problem:  # of a dozen kinds of onnxruntime's own
        raise ValueError(f"{path} is no ONNX model that onnxruntime can read: {first_line(problem)}") from None
    asked = Session(session, options.layout)
    return BlackBox(asked, answers=options.answers, budget=options.queries, batch_size=asked.batch)


class Session:
    """A file's network, asked in the layout, the precision and the number of pictures that it was stored for."""

    def __init__(self, session: Any, layout: str) -> None:
        (wanted, *others) = session.get_inputs()
        if others or len(wanted.shape) != 4 or wanted.type not in NUMBERS:
            raise ValueError(
                f"an ONNX classifier takes one input of float pictures (N, C, H, W), this one {wanted.name} "
                f"{wanted.type} {wanted.shape} and {len(others)} more"
            )
        self.session, self.name, self.dtype = session, wanted.name, NUMBERS[wanted.type]
        first, channels, *_, last = wanted.shape
        self.batch = first if isinstance(first, int) else None
        guessed = last in (1, 3) and channels not in (1, 3)
        self.channels_last = guessed if layout == "auto" else layout == "channels-last"

    def __call__(self, images: Tensor) -> Any:
        shown = images.cpu().to(self.dtype)
        shown = shown.permute(0, 2, 3, 1) if self.channels_last else shown
        filled = _filled_up(shown, self.batch)
        scores = self.session.run(None, {self.name: filled.contiguous().numpy()})
        return torch.as_tensor(next((each for each in scores if each.ndim == 2), scores[0]))[: len(images)]


def exported_program(name: str, _: SourceConfig) -> nn.Module:
    """What torch.export.save wrote; with gradients, in the one mode that it was exported in."""
    path = _existing(name)
    try:
        program = torch.export.load(path)
        model = program.module()
    except Exception as problem:  # of many kinds: versions, archives, operators
        raise ValueError(f"{path} is no program that torch.export.save wrote: {first_line(problem)}") from None
    return OfFixedSize(model, _fixed_batch(program))


class OfFixedSize(nn.Module):
    """A program that was exported for one number of pictures, and is shown as many every time."""

    def __init__(self, model: nn.Module, batch: int | None) -> None:
        super().__init__()
        self.model, self.batch = model, batch

    def train(self, mode: bool = True) -> OfFixedSize:  # noqa: ARG002
        """It stays in the mode that it was exported in."""
        return self

    def forward(self, images: Tensor) -> Any:
        if self.batch is None:
            return self.model(images)
        return torch.cat([self.model(_filled_up(few, self.batch))[: len(few)] for few in images.split(self.batch)])


def _fixed_batch(program: Any) -> int | None:
    """Of the program's example, where the number of pictures is no free dimension."""
    shapes = [
        node.meta["val"].shape
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs
    ]
    return shapes[0][0] if shapes and len(shapes[0]) and isinstance(shapes[0][0], int) else None


def _filled_up(images: Tensor, batch: int | None) -> Tensor:
    missing = 0 if batch is None else batch - len(images)
    return images if missing <= 0 else torch.cat([images, images[-1:].expand(missing, *images.shape[1:])])


def _existing(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    return path
