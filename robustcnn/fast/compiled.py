"""A view compiled for a few sizes of batch, each once, however many sizes are asked for."""

from __future__ import annotations

import warnings
from types import FunctionType

import torch
from torch import Tensor, nn

from robustcnn.fast.agreement import Look

LEAST = 8
"""The smallest batch that is compiled for; smaller ones are filled up, which costs less than one size more."""


def captured_size(count: int) -> int:
    """The least power of two, or three quarters of one, that so many images fit into."""
    power = max(1 << (count - 1).bit_length(), LEAST)
    return power * 3 // 4 if power * 3 // 4 >= LEAST and count <= power * 3 // 4 else power


class Compiled:
    """Fills a batch up to a captured size; the copies also outlive a CUDA graph's own memory.

    Each size, with and without a gradient, is compiled as a function of its own: of one function torch compiles eight
    kinds at most, and runs all others as they are for ever after.
    """

    def __init__(self, view: nn.Module) -> None:
        self.view = view
        # Recorded as CUDA graphs: a small network is done sooner than its kernels can be launched one by one.
        self.mode = "reduce-overhead" if next(view.parameters(), torch.empty(0)).is_cuda else None
        self.looks: dict[tuple[int, bool], Look] = {}

    def __call__(self, images: Tensor) -> Tensor:
        missing = captured_size(len(images)) - len(images)
        filled = torch.cat([images, images.new_zeros(missing, *images.shape[1:])])
        return self._answer(filled)[: len(images)].clone()

    def _answer(self, filled: Tensor) -> Tensor:
        kind = len(filled), torch.is_grad_enabled()
        if kind in self.looks:
            return self.looks[kind](filled)
        self.looks[kind] = torch.compile(self._function(), dynamic=False, mode=self.mode)
        with warnings.catch_warnings():
            # The compiler asks what it is shown for a gradient, which only the images themselves have.
            warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
            return self.looks[kind](filled)

    def _function(self) -> Look:
        view = self.view

        def look(images: Tensor) -> Tensor:
            answer: Tensor = view(images)
            return answer

        # What is compiled is remembered with the code, which all functions made here would share.
        return FunctionType(look.__code__.replace(), look.__globals__, closure=look.__closure__)
