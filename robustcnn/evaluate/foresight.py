"""How long an evaluation will take: one pass over the first block is timed, and attacks know how many they make."""

from __future__ import annotations

import time
import warnings

import torch

from robustcnn.attacks.base import Attack, input_gradient
from robustcnn.attacks.ensemble import Ensemble
from robustcnn.attacks.square import Square
from robustcnn.attacks.swift import Swift
from robustcnn.core.losses import is_right, margin
from robustcnn.core.runtime import global_seed
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate.pieces import Job

FORWARD = 0.4
"""What an answer without a gradient takes of a pass with one."""
TIMES = 3
"""The first pass sets things up; the fastest of the others counts."""
LONG = 600.0
"""Seconds of attacks from which on compiling pays on a GPU: it takes a minute or two and saves up to a quarter. On a
CPU it saves a twelfth in float32 and takes ten seconds of each size of batch and mode."""
COUNTS = ("steps", "restarts", "eot", "draws", "searches")
"""Fields that multiply an attack's passes."""


def forecast(seconds: float) -> str:
    """A sentence for who waits."""
    return f"the attacks take at most about {_spoken(seconds)}"


def worth_compiling(seconds: float, device: torch.device) -> bool:
    """Whether that pays: on a GPU, in an evaluation that takes much longer than the compiler."""
    return device.type != "cpu" and seconds >= LONG


def longest(job: Job, seconds: float) -> float:
    """How long all attacks take, at so many seconds an image and pass, if nothing is broken on the way."""
    classes, right = job.clean.shape[1], int(is_right(job.clean, job.data.labels.cpu()).sum())
    count = sum(passes(attack, classes, threat) for attack in job.plan.attacks for threat in job.plan.threats)
    return seconds * count * right


def pace(job: Job) -> float:
    """Seconds an image and pass, on the first block."""
    block = job.data.subset(job.plan.block)
    images, labels, times = as_pixels(block.images), block.labels, []
    with global_seed(job.plan.seed):
        for _ in range(TIMES):
            start = time.perf_counter()
            input_gradient(job.view, images, lambda logits, rows: margin(logits, labels[rows]))
            if images.is_cuda:
                torch.cuda.synchronize(images.device)
            times.append(time.perf_counter() - start)
    return min(times[1:]) / len(images)


def passes(attack: Attack, classes: int, threat: ThreatModel) -> float:
    """Looks with a gradient at each image."""
    if isinstance(attack, Swift):
        return sum(stage.share * passes(stage.attack, classes, threat) for stage in attack.stages(threat))
    if isinstance(attack, Ensemble):
        with warnings.catch_warnings():
            # What it has to say of the model it says when it is run.
            warnings.simplefilter("ignore")
            return sum(passes(each, classes, threat) for each in attack.members(classes, threat))
    if isinstance(attack, Square):
        return FORWARD * attack.queries
    options = getattr(attack, "options", {})
    numbers = [options.get(name, getattr(attack, name, 1)) for name in (*COUNTS, "targets")]
    product = 1.0
    for number in numbers:
        product *= number if isinstance(number, int) and number > 0 else 1
    return product


def _spoken(seconds: float) -> str:
    """With as many digits as can be known."""
    if seconds < 100:
        return f"{max(round(seconds), 1)} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
