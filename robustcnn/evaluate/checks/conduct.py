"""Does the model behave as one function of one picture: whatever it was asked before, in whatever company?"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from robustcnn.core.losses import is_right
from robustcnn.core.results import Finding, Share, Verdict
from robustcnn.core.runtime import evaluating, float32_is_kept, global_seed, seeded
from robustcnn.data import ResidentDataset
from robustcnn.evaluate.checks.answers import differing
from robustcnn.evaluate.checks.bench import Bench, finding
from robustcnn.evaluate.checks.counts import limit
from robustcnn.evaluate.predict import predict
from robustcnn.fast.plain_view import beneath

COARSE = 1e-3
"""Relative error of float32 arithmetic that is none: bf16, half or TF32 somewhere in the model."""
MORE_CALLS = 64
MATTERS = 0.01
"""Share of the examples whose class depends on the company before it is more than rounding near a boundary."""


class _Modes(TorchFunctionMode):
    """Notes which layers run as in training, and whether anything is worked out in 16 bits."""

    def __init__(self) -> None:
        super().__init__()
        self.training: set[str] = set()
        self.coarse: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name in ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"):
            share = kwargs.get("p", args[1] if len(args) > 1 and not isinstance(args[1], bool) else 0.5)
            if kwargs.get("training", args[2] if len(args) > 2 else True) and share:
                self.training.add(name)
        # Without running statistics a batch norm has no other way than the batch's own: that is another check's.
        if name == "batch_norm" and len(args) > 1 and args[1] is not None and kwargs.get("training", False):
            self.training.add(name)
        answer = func(*args, **kwargs)
        if isinstance(answer, Tensor) and answer.dtype in (torch.float16, torch.bfloat16):
            self.coarse.add(str(answer.dtype).removeprefix("torch."))
        return answer


@torch.no_grad()
def evaluation_mode(model: nn.Module, data: ResidentDataset) -> Finding:
    """No dropout and no batch norm runs as in training once the model is put into evaluation mode."""
    images, _ = next(data.batches(2))
    with evaluating(model), _Modes() as modes:
        model(images)
        stuck = [type(each).__name__.lower() for each in model.modules() if each.training]
    seen = sorted({*modes.training, *stuck})
    return finding(
        "evaluation mode",
        f"in evaluation mode still train: {', '.join(seen)}" if seen else "evaluation mode reaches every layer",
        figure=float(len(seen)),
        trouble="fail" if seen else None,
        cure="the model is not the one that will be used; register its parts as modules, and pass "
        "training=self.training to functional layers",
    )


def company(model: nn.Module, data: ResidentDataset) -> Finding:
    """What the model says of a picture does not depend on the others in the batch."""
    order = torch.randperm(len(data), generator=seeded(0)).to(data.device)
    with global_seed(0):
        whole = predict(model, data, batch_size=len(data))
    if differing(whole, predict(model, data, batch_size=len(data))).hits:
        seen = "not asked, as answers do not repeat anyway"
        return finding("company", seen, figure=None, trouble=None, cure="", tried=0)
    apart = predict(model, data.subset(order), batch_size=max(len(data) // 3, 1))[order.argsort()]
    changed = differing(whole, apart)
    return finding(
        "company",
        f"in other company the model changes its logits for {changed.hits} of {changed.count} images",
        figure=changed.value,
        trouble="fail" if changed.low > MATTERS else None,
        cure="it mixes the images of a batch (batch norm without running statistics?): an attack on a batch then uses "
        "one image against another, and its figure holds for this batch alone",
    )


def true_float32(model: nn.Module, data: ResidentDataset) -> Finding:
    """The model works in float32: nothing in it is of 16 bits, and TF32, by which float64 would differ, is off."""
    images, _ = next(data.batches(8))
    kept, error = float32_is_kept(), _error(model, images)
    with torch.no_grad(), evaluating(model), _Modes() as modes:
        model(images)
    coarse = error is not None and error > COARSE and _repeats(model, images)
    own = any(each.dtype in (torch.float16, torch.bfloat16) for each in model.parameters())
    trouble: Verdict | None = "fail" if not kept or coarse or (modes.coarse and not own) else None
    seen = f"reduced precision is {'off' if kept else 'on'} in the judge; the model works in "
    seen += " and ".join(sorted(modes.coarse)) if modes.coarse else "float32"
    if error is not None:
        seen += f", within {error:.1e} of float64"
    return finding(
        "float32 is float32",
        seen,
        figure=error,
        trouble="warn" if modes.coarse and trouble is None else trouble,
        cure="gradients and margins are rounded, and what float32 is to confirm is not asked in float32; measure the "
        "model in float32, without autocast inside",
    )


def _error(model: nn.Module, images: Tensor) -> float | None:
    """Of the logits of half of the pictures, relative to a copy's in float64; None where there can be no such copy.

    Where a model chooses between ways, a rounding error may make it choose another for a few.
    """
    try:
        exact = copy.deepcopy(beneath(model)).double()
        with torch.no_grad(), evaluating(exact), global_seed(0):
            expected = exact(images.double())
    except Exception:  # of any kind: models say in many ways that they live in float32
        return None
    with torch.no_grad(), evaluating(model), global_seed(0):
        given = model(images)
    if (
        not isinstance(expected, Tensor)
        or expected.ndim != 2
        or not (expected.isfinite().all() and given.isfinite().all())
    ):
        return None
    errors = (given.double() - expected).norm(dim=1) / expected.norm(dim=1).clamp_min(1e-30)
    return float(errors.median())


@torch.no_grad()
def _repeats(model: nn.Module, images: Tensor) -> bool:
    with evaluating(model):
        return not differing(model(images).float(), model(images).float()).hits


def memoryless(bench: Bench, first: Tensor) -> Finding:
    """After all that it was asked meanwhile, one by one and in batches, the model says what it said first."""
    data = bench.data
    # Attacks search on copies: the model itself is asked some more times before it counts.
    for number in range(MORE_CALLS):
        predict(bench.model, data.subset(torch.tensor([number % len(data)])))
    now = predict(bench.model, data)
    if bench.draws > 1:
        changed, trouble = _drifted(is_right(first, data.labels), is_right(now, data.labels))
    else:
        changed = differing(first, now)
        trouble = bool(changed.hits)
    return finding(
        "no memory",
        f"asked again after the attacks, the model changes its answer for {changed.hits} of {changed.count} images",
        figure=changed.value,
        trouble="fail" if trouble else None,
        cure="it keeps state from call to call: what an attack found need not hold later, and what stood may fall; "
        "reset it before every call",
    )


def _drifted(before: Tensor, after: Tensor) -> tuple[Share, bool]:
    """Of a random model only a drift counts: more changes in one direction than two random answers would show."""
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    changes = lost + won
    return Share.of(changes, len(before)), limit(max(lost, won), changes, 0.005) > 0.5 if changes else False
