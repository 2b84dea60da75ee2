"""Searching in float16, where there is no bfloat16: proposed by a coarse view, confirmed in float32."""

from __future__ import annotations

import torch

from robustcnn import build
from robustcnn.attacks import PGD, craft
from robustcnn.core.runtime import global_seed, seeded
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel

GREY = ImageSpec(channels=1, height=16, width=16, classes=tuple("abcd"), mean=(0.5,), std=(0.25,))


def test_what_a_search_in_half_finds_fools_in_float32_as_often() -> None:
    with global_seed(0):
        model = build("bncnn", GREY, width=0.25).eval()
    images = torch.rand(24, *GREY.shape, generator=seeded(1))
    labels = model(images).argmax(1).detach()
    threat = ThreatModel(norm="linf", eps=0.03)
    fooled = {
        precision: int((model(found).argmax(1) != labels).sum())
        for precision in ("fp32", "fp16")
        for found in [craft(PGD(steps=10), model, images, labels, threat, precision=precision, generator=seeded(2))]
    }
    assert fooled["fp32"] > 2
    assert abs(fooled["fp16"] - fooled["fp32"]) <= 1
