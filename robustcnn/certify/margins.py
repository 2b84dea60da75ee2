"""Lower bounds of every margin of a model, anywhere in a ball: the public face of this room."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from robustcnn.attacks.base import check_batch
from robustcnn.certify.crown import enclosed, tightened
from robustcnn.certify.graph import trace
from robustcnn.certify.layer import NoLowerBound
from robustcnn.certify.network import EXACT, Rounding
from robustcnn.certify.operations import Box
from robustcnn.certify.region import Region
from robustcnn.certify.slopes import best_slopes
from robustcnn.core.plain_data import did_you_mean
from robustcnn.core.runtime import evaluating, exact_float32
from robustcnn.core.threat import ThreatModel
from robustcnn.fast.plain_view import plain_view

Method = Literal["interval", "crown", "alpha-crown"]
METHODS: tuple[Method, ...] = get_args(Method)
"""The cheapest first."""
STEPS = 20
"""Of alpha-CROWN's search for slopes."""
PROOF, SEARCH = torch.float64, torch.float32
"""Precisions: of margins, where our own rounding errors are small beside the model's, and of the search for bounds."""
PROBE = 4
"""Images on which the graph has to agree with the model."""


@exact_float32()
def bounds(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    *,
    method: Method = "crown",
    steps: int = STEPS,
    batch_size: int = 50,
) -> Tensor:
    """Lower bounds (N, K) of the true logit minus every logit, wherever in the ball an image may be; inf for its own.

    They hold for the model as it computes in its own precision, float32 being float32 (no TF32 on a GPU): what rounding
    can do to it is part of them. A model of which no bound is known is refused in one line.
    """
    prover = Prover(model, images, labels, threat, steps=steps)
    everything = torch.arange(len(images), device=images.device)
    found = [prover.bounds(rows, method) for rows in everything.split(batch_size)]
    return torch.cat(found) if found else images.new_empty(0, prover.classes, dtype=PROOF)


@exact_float32()
def certified(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    *,
    method: Method = "crown",
    steps: int = STEPS,
    batch_size: int = 50,
) -> Tensor:
    """Which images (N,) provably keep their label in the whole ball; the dearer bounds only where cheaper ones fail."""
    prover = Prover(model, images, labels, threat, steps=steps)
    return prover.proven(method, batch_size)


@exact_float32()
def radii(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    *,
    method: Method = "crown",
    steps: int = STEPS,
    rounds: int = 8,
    batch_size: int = 50,
) -> Tensor:
    """The largest eps (N,), up to the threat's, at which each image is proven; exact to eps / 2^rounds."""
    if not 0 <= threat.eps < math.inf or rounds < 1:
        raise ValueError(f"radii need a finite eps and at least one round, got {threat.eps:g} and {rounds}")
    return Prover(model, images, labels, threat, steps=steps).radii(method, batch_size, rounds)


class Prover:
    """A traced model, and images that something is to be proven of."""

    @torch.no_grad()
    def __init__(
        self, model: nn.Module, images: Tensor, labels: Tensor, threat: ThreatModel, *, steps: int = STEPS
    ) -> None:
        check_batch(images, labels, threat)
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        if images.ndim != 4 or not len(images):
            raise ValueError(f"images must be (N, C, H, W) with N >= 1, got {tuple(images.shape)}")
        self.images, self.labels, self.threat, self.steps = images, labels, threat, steps
        with evaluating(model):
            traced = trace(model, images[0])
            self.proof, self.search = traced.network(PROOF), traced.network(SEARCH)
            self.classes = self._agreed(plain_view(model))
        self.rounding = {each: Rounding.of(traced.dtype, each, images.device) for each in (PROOF, SEARCH)}

    @torch.no_grad()
    def proven(self, method: Method, batch_size: int, threat: ThreatModel | None = None) -> Tensor:
        """Which images keep their label, in the given ball if there is one."""
        _check_method(method)
        proven = torch.zeros(len(self.images), dtype=torch.bool, device=self.images.device)
        for cheaper in METHODS[: METHODS.index(method) + 1]:
            for rows in (~proven).nonzero().flatten().split(batch_size):
                proven[rows] = (self.bounds(rows, cheaper, threat) > 0).all(1)
        return proven

    @torch.no_grad()
    def radii(self, method: Method, batch_size: int, rounds: int) -> Tensor:
        """The largest eps (N,), up to the threat's, at which each image was proven, found by halving."""
        _check_method(method)
        high = self.images.new_full((len(self.images),), self.threat.eps, dtype=PROOF)
        low = torch.zeros_like(high)
        everything = torch.arange(len(high), device=high.device)
        for step in range(rounds + 1):
            # First of all the whole ball: most of what is proven at all is proven there.
            asked = (low + high) / 2 if step else high.clone()
            for rows in everything[low < high].split(batch_size):
                eps = asked[rows]
                proven = (self.bounds(rows, method, eps=eps) > 0).all(1)
                low[rows], high[rows] = torch.where(proven, eps, low[rows]), torch.where(proven, high[rows], eps)
        return low

    @torch.no_grad()
    def bounds(
        self, rows: Tensor, method: Method, threat: ThreatModel | None = None, *, eps: Tensor | None = None
    ) -> Tensor:
        """Of some of the images; each in a ball of its own `eps` where that is given."""
        _check_method(method)
        if not len(rows):
            return self.images.new_empty(0, self.classes, dtype=PROOF)
        labels = self.labels[rows]
        region = Region.of(self.images[rows], self.threat if threat is None else threat, PROOF, eps)
        # What overflowed proves nothing.
        margins = torch.nan_to_num(self._margins(region, labels, method), nan=-torch.inf, neginf=-torch.inf)
        return margins.scatter(1, labels[:, None], torch.inf)

    def _margins(self, region: Region, labels: Tensor, method: Method) -> Tensor:
        network, rounding = self.proof, self.rounding[PROOF]
        wanted = margin_rows(region.images.new_empty(len(labels), self.classes), labels)
        boxes = enclosed(network, region, rounding)
        margins = network.least(network.output, wanted, boxes, region, rounding=rounding, stops=network.bent)
        if method == "interval" or not network.bent:
            return margins
        closer = tightened(self.search, boxes, region.rounded(SEARCH), self.rounding[SEARCH])
        boxes = {place: Box(*(part.to(PROOF) for part in box)) for place, box in closer.items()}
        margins = margins.maximum(network.least(network.output, wanted, boxes, region, rounding=rounding))
        if method == "crown":
            return margins
        slopes = best_slopes(self.search, closer, region.rounded(SEARCH), wanted.to(SEARCH), self.steps)
        slopes = {place: each.to(PROOF) for place, each in slopes.items()}
        return margins.maximum(network.least(network.output, wanted, boxes, region, rounding=rounding, slopes=slopes))

    def _agreed(self, model: nn.Module) -> int:
        """The number of classes; a graph that does not answer as the model does is refused."""
        few = self.images[:PROBE]
        logits, again = model(few), model(few)
        if logits.ndim != 2 or logits.shape[1] < 2:
            raise ValueError(f"model must return logits (N, K) with K >= 2, got {tuple(logits.shape)} for {len(few)}")
        if not torch.equal(logits, again):
            raise NoLowerBound("the model answers the same images differently when it is asked again")
        point = Region.point(few.to(PROOF))
        ours = self.proof.intervals(point, EXACT)[self.proof.output].low
        reach = float(logits.abs().max()) + 1e-6
        if not math.isfinite(reach) or not float((ours - logits).abs().max()) <= 1e-2 * reach:
            raise NoLowerBound("the traced graph does not answer as the model does (does it keep a state of its own?)")
        least, most = torch.stack(self.labels.aminmax()).tolist()
        if least < 0 or most >= logits.shape[1]:
            raise ValueError(f"labels must lie in 0..{logits.shape[1] - 1}, got {least}..{most}")
        return int(logits.shape[1])


def margin_rows(logits: Tensor, labels: Tensor) -> Tensor:
    """Coefficients (N, K, K) of the true logit minus every logit, for logits (N, K)."""
    classes = logits.shape[1]
    unit = torch.eye(classes, dtype=logits.dtype, device=logits.device)
    return unit[labels].unsqueeze(1) - unit


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}{did_you_mean(method, METHODS)}")
