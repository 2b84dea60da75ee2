"""Run any attack over many images fast: a fast view to search with, a batch size that suits the machine."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from tqdm import tqdm

from robustcnn.attacks.base import Attack, attack_each
from robustcnn.attacks.batch_size import best_size, fair_size
from robustcnn.attacks.black_box import BlackBoxView, black_box_in
from robustcnn.core.losses import margin
from robustcnn.core.progress import every, listening
from robustcnn.core.runtime import Precision, evaluating, halving, keep_memory, seeded
from robustcnn.core.snapshots import frame
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.plain_view import PlainView, View, beneath, check_takes
from robustcnn.fast.view import CoarseView, FastView, fast_view

SPOKEN = 0.5
"""Seconds between two words on the progress."""
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
            return PlainView(view, chunk=fair_size(images) if batch_size == "auto" else batch_size)
        view.chunk = best_size(view, images, labels) if batch_size == "auto" else batch_size
    return view


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
