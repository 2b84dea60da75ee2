"""The adversary's allowance, and the only place that knows what a norm is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

NormName = Literal["linf", "l2", "l1"]
Bounds = tuple[float, float]


def fraction(eps: float) -> str:
    """`8/255` where that is what eps is, else the plain number; 0.2 is 0.2, although it is 51/255 too."""
    grey_levels = eps * 255
    if math.isinf(eps) or float(f"{eps:.3g}") == eps or abs(grey_levels - round(grey_levels)) > 1e-6:
        return f"{eps:g}"
    return f"{round(grey_levels)}/255"


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreatModel:
    """What may be done to an image: a ball around it, cut by the bounds of a pixel; every method is batched."""

    norm: NormName = "linf"
    """How a change is measured."""
    eps: float = 8 / 255
    """Radius of the ball in pixel units, such as 8/255; inf is allowed for l2 and l1."""
    bounds: Bounds = (0.0, 1.0)
    """Least and greatest value of a pixel."""

    def __post_init__(self) -> None:
        low, high = self.bounds
        if self.norm not in _GEOMETRY:
            raise ValueError(f"norm must be one of {', '.join(_GEOMETRY)}, got {self.norm!r}")
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"bounds must be finite, the lower one first, got {self.bounds}")
        if self.norm == "linf" and not 0 <= self.eps <= 1:
            cure = f" (did you mean {self.eps:g} / 255?)" if 1 < self.eps <= 255 else ""
            raise ValueError(f"eps must lie in [0, 1] for linf, got {self.eps:g}{cure}")
        if not self.eps >= 0:
            raise ValueError(f"eps must be at least 0, got {self.eps:g}")

    def __str__(self) -> str:
        return f"{self.norm} {fraction(self.eps) if self.norm == 'linf' else f'{self.eps:g}'}"

    def project(self, images: Tensor, origin: Tensor) -> Tensor:
        """The nearest point (in the Euclidean sense) that is inside the ball around `origin` and within bounds."""
        return self._geometry.project(images, origin, self.eps, self.bounds)

    def steepest(self, gradient: Tensor, *, share: float | Tensor = 0.0, current: Tensor | None = None) -> Tensor:
        """The change of length 1 that gains most along the gradient; no change where the gradient is zero.

        Only l1 heeds the options: it spends its length evenly on the top `share` of the coordinates (a number, or one
        an example; always at least one coordinate) and, when told the `current` images, on none that is at a bound.
        """
        if current is not None and self.sparse:
            low, high = self.bounds
            gradient = gradient.masked_fill(
                ((current >= high) & (gradient > 0)) | ((current <= low) & (gradient < 0)), 0
            )
        return self._geometry.steepest(gradient, share)

    def sample(self, images: Tensor, generator: torch.Generator, *, surface: bool = False) -> Tensor:
        """Points uniform in the ball (or AutoPGD's starts, on its `surface`), then clipped to the bounds."""
        if math.isinf(self.eps):
            raise ValueError("a random start needs a finite eps, got inf (give the threat an eps)")
        draw = self._geometry.surface if surface else self._geometry.ball
        # Clipping only shortens a change, so that it cannot leave the ball.
        return (images + draw(images, self.eps, generator)).clamp(*self.bounds)

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        """Length of the difference, one an example."""
        return _length(first - second, self._geometry.order).flatten()

    def shrink(self, change: Tensor, length: Tensor) -> Tensor:
        """The nearest change that is no longer than its `length` (N,), bounds not heeded."""
        return self._geometry.shrink(change, length.reshape(_column(change).shape))

    def dual(self, gradient: Tensor) -> Tensor:
        """Dual norm of each example: the gain of the steepest step of length 1."""
        scaled, largest = _scaled(gradient)
        return (_length(scaled, self._geometry.dual_order) * largest).flatten()

    @property
    def sparse(self) -> bool:
        """Whether the steepest steps move few pixels only, so that they need other rules than dense ones."""
        return self._geometry.sparse

    @property
    def _geometry(self) -> _Geometry:
        return _GEOMETRY[self.norm]


class _Geometry(Protocol):
    """One norm; adding another is adding a class."""

    order: float
    dual_order: float
    sparse: bool

    def project(self, images: Tensor, origin: Tensor, eps: float, bounds: Bounds) -> Tensor: ...
    def steepest(self, gradient: Tensor, share: float | Tensor) -> Tensor: ...
    def shrink(self, change: Tensor, length: Tensor) -> Tensor: ...
    def ball(self, like: Tensor, eps: float, generator: torch.Generator) -> Tensor: ...
    def surface(self, like: Tensor, eps: float, generator: torch.Generator) -> Tensor: ...


class _Linf:
    order, dual_order, sparse = math.inf, 1.0, False

    def project(self, images: Tensor, origin: Tensor, eps: float, bounds: Bounds) -> Tensor:
        return (images - origin).clamp_(-eps, eps).add_(origin).clamp_(*bounds)

    def steepest(self, gradient: Tensor, share: float | Tensor) -> Tensor:  # noqa: ARG002
        return gradient.sign()

    def shrink(self, change: Tensor, length: Tensor) -> Tensor:
        return change.maximum(-length).minimum(length)

    def ball(self, like: Tensor, eps: float, generator: torch.Generator) -> Tensor:
        return (2 * _draw(torch.rand, like, generator) - 1) * eps

    def surface(self, like: Tensor, eps: float, generator: torch.Generator) -> Tensor:
        direction = 2 * _draw(torch.rand, like, generator) - 1
        return eps * direction / _length(direction, math.inf)


class _L2:
    order, dual_order, sparse = 2.0, 2.0, False

    def project(self, images: Tensor, origin: Tensor, eps: float, bounds: Bounds) -> Tensor:
        """clip(origin + t (images - origin)) is nearest for the one t in [0, 1] that puts it on the sphere."""
        size, room = _size_and_room(images, origin, bounds)
        inside = _length(size.minimum(room), 2) <= eps
        share = _reachable_share(size, room, _rounded_down(eps, images, bounds)).masked_fill_(inside, 1)
        # lerp, because origin + 1 * (images - origin) is not quite images.
        return torch.lerp(origin, images, share).clamp_(*bounds)

    def steepest(self, gradient: Tensor, share: float | Tensor) -> Tensor:  # noqa: ARG002
        scaled, _ = _scaled(gradient)
        return scaled / _length(scaled, 2).clamp_min_(1)

    def shrink(self, change: Tensor, length: Tensor) -> Tensor:
        return change * (length / _length(change, 2).clamp_min(torch.finfo(change.dtype).tiny)).clamp_max(1)

    def ball(self, like: Tensor, eps: float, generator: torch.Generator) -> Tensor:
        radius = _draw(torch.rand, _column(like), generator) ** (1 / like[0].numel())
        return self.surface(like, eps, generator) * radius

    def surface(self, like: Tensor, eps: float, generator: torch.Generator) -> Tensor:
        direction = _draw(torch.randn, like, generator)
        return eps * direction / _length(direction, 2)


class _L1:
    order, dual_order, sparse = 1.0, math.inf, True

    def project(self, images: Tensor, origin: Tensor, eps: float, bounds: Bounds) -> Tensor:
        """Every change shrinks by the one amount that puts the sum of changes, cut by the bounds, on the sphere."""
        size, room = _size_and_room(images, origin, bounds)
        inside = _length(size.minimum(room), 1) <= eps
        kept = _soft(size, room, _shrinkage(size, room, eps))
        precision = torch.finfo(images.dtype)
        radius = eps * (1 - 4 * precision.eps)
        kept = kept * (radius / _length(kept, 1).clamp_min_(precision.tiny)).clamp_max_(1)
        nearest = origin + torch.where(images >= origin, kept, -kept)
        # Rounding each pixel towards the origin keeps thousands of them from adding up to more than eps.
        nearest = torch.where((nearest - origin).abs() > kept, torch.nextafter(nearest, origin), nearest)
        return torch.where(inside, images, nearest).clamp_(*bounds)

    def steepest(self, gradient: Tensor, share: float | Tensor) -> Tensor:
        flat = gradient.flatten(1)
        size = flat.abs()
        pixels = size.shape[1]
        if isinstance(share, Tensor):
            counts = (share * pixels).round().long().clamp(1, pixels)
            least = size.sort(1, descending=True).values.gather(1, counts[:, None] - 1)
        else:
            least = size.topk(min(max(round(share * pixels), 1), pixels), dim=1).values[:, -1:]
        chosen = (size >= least) & (size > 0)
        return (flat.sign() * chosen / chosen.sum(1, keepdim=True).clamp_min_(1)).reshape(gradient.shape)

    def shrink(self, change: Tensor, length: Tensor) -> Tensor:
        size = change.abs()
        shorter = change.sign() * _soft(size, size, _shrinkage(size, size, length))
        return torch.where(_length(size, 1) <= length, change, shorter)

    def ball(self, like: Tensor, eps: float, generator: torch.Generator) -> Tensor:
        # Exponential draws divided by their sum and one draw more are uniform in the simplex (Barthe et al. 2005).
        size = -torch.log1p(-_draw(torch.rand, like, generator))
        spare = -torch.log1p(-_draw(torch.rand, _column(like), generator))
        sign = torch.where(_draw(torch.rand, like, generator) < 0.5, -1, 1)
        return eps * sign * size / (_length(size, 1) + spare)

    def surface(self, like: Tensor, eps: float, generator: torch.Generator) -> Tensor:
        # A Gaussian draw projected to the ball: sparse, as AutoPGD starts in l1 (Croce & Hein 2021).
        direction = _draw(torch.randn, like, generator)
        size = direction.abs()
        return direction.sign() * _soft(size, size, _shrinkage(size, size, eps))


_GEOMETRY: dict[str, _Geometry] = {"linf": _Linf(), "l2": _L2(), "l1": _L1()}


def _length(change: Tensor, order: float) -> Tensor:
    """The norm of each example, shaped to broadcast against it."""
    every = tuple(range(1, change.ndim))
    # On a CPU ten times as fast as vector_norm, which is quick for l2 alone.
    if order == math.inf:
        return change.abs().amax(every, keepdim=True)
    norm: Tensor = torch.linalg.vector_norm(change, order, dim=every, keepdim=True)
    return norm


def _scaled(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient with 1 for its largest entry, and that entry: the square of a tiny one vanishes in float32."""
    largest = _length(gradient, math.inf)
    return gradient / torch.where(largest > 0, largest, 1), largest


def _sum(values: Tensor) -> Tensor:
    return values.sum(dim=tuple(range(1, values.ndim)), keepdim=True)


def _column(like: Tensor) -> Tensor:
    """One value an example, shaped to broadcast against it."""
    return like.new_empty((len(like),) + (1,) * (like.ndim - 1))


def _draw(kind: Callable[..., Tensor], like: Tensor, generator: torch.Generator) -> Tensor:
    # Drawn where the generator lives: one seed then gives one answer on every device.
    return kind(like.shape, generator=generator, dtype=like.dtype, device=generator.device).to(like.device)


def _size_and_room(images: Tensor, origin: Tensor, bounds: Bounds) -> tuple[Tensor, Tensor]:
    """How far each pixel has moved, and how far it could in that direction."""
    change = images - origin
    low, high = bounds
    return change.abs(), torch.where(change > 0, high - origin, origin - low)


def _rounded_down(eps: float, images: Tensor, bounds: Bounds) -> float:
    """A radius that, whatever the rounding of sums and of single pixels, does not end up above eps."""
    unit = torch.finfo(images.dtype).eps
    pixel = unit / 4 * max(map(abs, bounds))
    return max(eps * (1 - 4 * unit) - pixel * math.sqrt(images[0].numel()), 0.0)


def _reachable_share(size: Tensor, room: Tensor, radius: float) -> Tensor:
    """The greatest t in [0, 1] for which the changes min(t * size, room) are no longer than `radius` (l2).

    Newton's method on the square of t, from below: the sum of squares is concave and piecewise linear in it, so that
    no step overshoots and the set of pixels at their bound only grows.
    """
    share = (radius / _length(size, 2)).clamp_max_(1)
    before = torch.zeros_like(size, dtype=torch.bool)
    for _ in range(_ROUNDS):
        stuck = share * size >= room
        # On a GPU asking costs more than the rounds it saves.
        if size.device.type == "cpu" and torch.equal(stuck, before):
            break
        before = stuck
        left = radius**2 - _sum(room.square().masked_fill(~stuck, 0))
        free = _sum(size.square().masked_fill(stuck, 0))
        found = (left.clamp_min_(0) / free).sqrt_().clamp_max_(1)
        share = torch.where(free > 0, found.maximum(share), 1)
    return share


_ROUNDS = 12
"""Images need 4, pixels spread over twelve decades needed 12; too few would end short of the sphere, never outside."""


def _soft(size: Tensor, room: Tensor, shrinkage: Tensor) -> Tensor:
    return (size - shrinkage).clamp_min_(0).minimum(room)


def _shrinkage(size: Tensor, room: Tensor, radius: float | Tensor) -> Tensor:
    """The amount by which each change must shrink for their sum, each cut at its room, to be `radius` (l1)."""
    low, high = torch.zeros_like(_column(size)), _length(size, math.inf)
    for _ in range(-round(math.log2(torch.finfo(size.dtype).eps))):
        middle = (low + high) / 2
        too_long = _sum(_soft(size, room, middle)) > radius
        low, high = torch.where(too_long, middle, low), torch.where(too_long, high, middle)
    # Bisection has found which pixels are free; for those the amount has a closed form.
    free, stuck = (size > high) & (size - high < room), size - high >= room
    surplus = _sum(size.masked_fill(~free, 0)) + _sum(room.masked_fill(~stuck, 0)) - radius
    return torch.where(_sum(free) > 0, surplus / _sum(free), high).clamp(low, high)
