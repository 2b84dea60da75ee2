"""Run any attack over many images fast: a fast view to search with, a batch size that suits the machine."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from tqdm import tqdm

from robustcnn.attacks.base import Attack, attack_each, input_gradient
from robustcnn.attacks.black_box import BlackBoxView, black_box_in
from robustcnn.core.losses import cross_entropy, margin
from robustcnn.core.progress import every, listening
from robustcnn.core.runtime import Precision, evaluating, halving, keep_memory, out_of_memory, seeded
from robustcnn.core.snapshots import frame
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.plain_view import PlainView, View, beneath, check_takes
from robustcnn.fast.view import CoarseView, FastView, fast_view

SPOKEN = 0.5
"""Seconds between two words on the progress."""
SIZES = (32, 64, 128, 256, 512, 1024, 2048)
"""Batch sizes that `auto` tries, smallest first, until a larger one is no faster."""
WORTH_TRYING = 2048
"""Images from which on trying sizes costs less than it saves."""
BLOCK = 2048
"""Images an attack is given at once: their state is small beside one batch's activations, and a full batch is always
left to look at while examples drop out."""

PROBE = 4
"""Images that a fast view is checked on."""
NEAR = 0.01
"""Share of the range of an image's logits within which bf16 cannot be trusted to tell right from wrong."""


def craft(
    attack: Attack,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    *,
    precision: Precision = "fp32",
    batch_size: int | Literal["auto"] = "auto",
    compiled: bool = False,
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> Tensor:
    """`attack` on all images, in the order they came; what it says is for the judge to confirm on the model itself.

    `precision` is that of the search. After bf16 whatever seems to succeed is confirmed in float32, and those of the
    rest that came nearest to falling are attacked once more in float32. `auto` times a few batch sizes once; a batch
    that does not fit into memory is halved.
    """
    if not len(images):
        return images.clone()
    generator = seeded(0, images.device) if generator is None else generator
    view = prepare(model, images, labels, precision=precision, batch_size=batch_size, compiled=compiled)
    blocks = [slice(start, start + BLOCK) for start in range(0, len(images), BLOCK)]
    shown = tqdm(blocks, repr(attack), leave=False, disable=None if progress else True)
    with listening(every(SPOKEN, shown.set_postfix_str)) if progress else nullcontext():
        found = [_crafted(attack, view, images[rows], labels[rows], threat.of(rows), generator) for rows in shown]
    return torch.cat(found)


def _crafted(
    attack: Attack, view: View, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
) -> Tensor:
    if isinstance(view, CoarseView):
        return _coarse_to_fine(attack, view, images, labels, threat, generator)
    return _survive(attack, view, images, labels, threat, generator)


def prepare(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    precision: Precision = "fp32",
    batch_size: int | Literal["auto"] = "auto",
    compiled: bool = False,
) -> View:
    """A view of the model to search with, for more than one `craft`; a view is given back as it is.

    A model that no fast view agrees with comes back in a plain one, so that it is tried and told of once.
    """
    if isinstance(model, View) and (model.chunk is not None or type(model) is not PlainView):
        return model
    if black_box_in(model) is not None:
        # Its questions may be dear: none is asked to try things out.
        return BlackBoxView(beneath(model), chunk=None if batch_size == "auto" else batch_size)
    if batch_size != "auto" and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1 or 'auto', got {batch_size}")
    keep_memory()
    with evaluating(model):
        check_takes(model, images[:PROBE])
        view = fast_view(model, images[:PROBE], precision=precision, compiled=compiled)
        if not isinstance(view, FastView):
            return PlainView(view, chunk=_fair_size(images) if batch_size == "auto" else batch_size)
        view.chunk = best_size(view, images, labels) if batch_size == "auto" else batch_size
    return view


def best_size(view: nn.Module, images: Tensor, labels: Tensor) -> int:
    """The batch size with the most input gradients a second; for few images a fair one, because trying costs more."""
    if len(images) < WORTH_TRYING:
        return _fair_size(images)
    best, fastest = SIZES[0], 0.0
    for size in SIZES:
        try:
            speed = _speed(view, images[:size], labels[:size])
        except (RuntimeError, MemoryError) as problem:
            if not out_of_memory(problem):
                raise
            break
        # A larger batch has to pay for its memory.
        if speed < 1.03 * fastest:
            break
        best, fastest = size, speed
    return best


def _fair_size(images: Tensor) -> int:
    return 256 if images.is_cuda else 128


def _speed(view: nn.Module, images: Tensor, labels: Tensor) -> float:
    # Of this process alone on a CPU, where others may be at work; a GPU's work is not in it.
    clock = time.perf_counter if images.is_cuda else time.process_time
    times = []
    for _ in range(2):
        start = clock()
        input_gradient(view, images, lambda logits, part: cross_entropy(logits, labels[part]))
        if images.is_cuda:
            torch.cuda.synchronize(images.device)
        times.append(clock() - start)
    return len(images) / min(times)


def _coarse_to_fine(
    attack: Attack, view: CoarseView, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
) -> Tensor:
    """Near the boundary bf16 cannot tell one side from the other: what ended there is searched again in float32."""
    found: Tensor | None = None
    with frame("coarse", lambda: {"found": found}) as before:
        found = before["found"] if before else None
        if found is None:
            found = _survive(attack, view, images, labels, threat, generator)
        return _refined(attack, view, found, images, labels, threat, generator)


def _refined(
    attack: Attack,
    view: CoarseView,
    found: Tensor,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    generator: torch.Generator,
) -> Tensor:
    logits = view.exact(found)
    lead, reach = margin(logits, labels), NEAR * (logits.amax(1) - logits.amin(1))
    rows = ((lead <= 0) & (lead > -reach)).nonzero().flatten()
    if not len(rows):
        return found
    fine = view.fine()
    again = _survive(attack, fine, images[rows], labels[rows], threat.of(rows), generator)
    with torch.no_grad():
        fooled = margin(fine(again), labels[rows]) > 0
    found[rows[fooled]] = again[fooled]
    return found


def _survive(
    attack: Attack, view: View, images: Tensor, labels: Tensor, threat: ThreatModel, generator: torch.Generator
) -> Tensor:
    """The attack on one block; where memory does not suffice, the same on smaller batches."""
    state = generator.get_state()

    def attacked(size: int) -> Tensor:
        if size < len(images):
            view.chunk = size
        # Of an attempt that failed no draw shall be left.
        generator.set_state(state)
        return attack_each(attack, view, images, labels, threat, generator=generator)

    return halving(attacked, min(view.chunk or len(images), len(images)))
