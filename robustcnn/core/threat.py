"""The adversary's allowance: a ball of some norm around each image, cut by the bounds of a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from robustcnn.core.norms import NORMS, Norm, NormName
from robustcnn.core.norms.batched import per_example
from robustcnn.core.norms.norm import Bounds, Projector, Radius, Windows
from robustcnn.core.norms.plane import onto_plane
from robustcnn.core.plain_data import shown


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
        if self.norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {shown(self.norm)}")
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"bounds must be finite, the lower one first, got {self.bounds}")
        self._check_eps()

    def _check_eps(self) -> None:
        self.geometry.check_eps(self.eps, self.bounds)

    def __str__(self) -> str:
        return f"{self.norm} {self.geometry.say(self.eps)}"

    @property
    def geometry(self) -> Norm:
        """All that depends on the norm."""
        return NORMS[self.norm]

    @property
    def one_eps(self) -> float:
        """eps, for what cannot work with one for each example."""
        return self.eps

    @property
    def is_nothing(self) -> bool:
        """Whether nothing may be changed at all."""
        return self.eps == 0

    def radius(self, images: Tensor) -> Radius:
        """eps as it is reckoned with beside the images."""
        del images
        return self.eps

    def eps_of(self, images: Tensor) -> Tensor:
        """eps of each example (N,)."""
        return images.new_full((len(images),), self.eps)

    def each(self, eps: Tensor) -> PerExample:
        """The same with an eps for each example (N,)."""
        return PerExample(norm=self.norm, eps=eps, bounds=self.bounds)

    def of(self, rows: Tensor | slice) -> ThreatModel:
        """The threat for a part of the examples."""
        del rows
        return self

    def times(self, factor: float) -> ThreatModel:
        """A ball so many times as large."""
        return replace(self, eps=factor * self.eps)

    def check_examples(self, count: int) -> None:
        """Refuse radii that are not one for each of so many examples, or that make no sense."""

    def project(self, images: Tensor, origin: Tensor) -> Tensor:
        """The nearest point (in the Euclidean sense) that is inside the ball around `origin` and within bounds."""
        return self.geometry.project(images, origin, self.radius(images), self.bounds)

    def projector(self, origin: Tensor) -> Projector:
        """`project` for many images around the same origin."""
        return self.geometry.projector(origin, self.radius(origin), self.bounds)

    def steepest(self, gradient: Tensor, *, share: float | Tensor = 0.0, current: Tensor | None = None) -> Tensor:
        """The change of length 1 that gains most along the gradient; no change where the gradient is zero.

        Only l1 heeds the options: it spends its length evenly on the top `share` of the coordinates (a number, one an
        example, or as whole numbers how many; always at least one coordinate) and, when told the `current` images, on
        none that is at a bound.
        """
        if current is not None and self.sparse:
            # As products, because choices by pixel are several times slower on a CPU: there is no way on at a bound.
            ahead = gradient.sign().add_(current).clamp_(*self.bounds)
            gradient = torch.ne(ahead, current, out=torch.empty_like(gradient)).mul_(gradient)
        return self.geometry.steepest(gradient, share)

    def sample(self, images: Tensor, generator: torch.Generator, *, surface: bool = False) -> Tensor:
        """Points uniform in the ball (or AutoPGD's starts, on its `surface`), then clipped to the bounds."""
        self.refuse_infinite("a random start")
        draw = self.geometry.surface if surface else self.geometry.ball
        # Clipping only shortens a change, so that it cannot leave the ball.
        return (images + draw(images, self.radius(images), generator)).clamp(*self.bounds)

    def refuse_infinite(self, what: str) -> None:
        """Refuse a ball without an end."""
        if math.isinf(self.eps):
            raise ValueError(f"{what} needs a finite eps, got inf (give the threat an eps)")

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        """Length of the difference, one an example."""
        return self.geometry.length(first - second).flatten()

    def shrink(self, change: Tensor, length: Tensor) -> Tensor:
        """The nearest change that is no longer than its `length` (N,), bounds not heeded."""
        return self.geometry.shrink(change, per_example(length, change))

    def dual(self, gradient: Tensor) -> Tensor:
        """Dual norm of each example: the gain of the steepest step of length 1."""
        return self.geometry.dual(gradient).flatten()

    def onto_plane(self, points: Tensor, normal: Tensor, gap: Tensor) -> Tensor:
        """The point z nearest to each point, within bounds, with <normal, z - point> = gap; eps is not heeded."""
        return onto_plane(points, normal, gap, norm=self.geometry, bounds=self.bounds)

    @property
    def sparse(self) -> bool:
        """Whether the steepest steps move few pixels only, so that they need other rules than dense ones."""
        return self.geometry.sparse

    @property
    def windows(self) -> Windows | None:
        """How the Square attack changes images in this norm; None where it does not."""
        return self.geometry.windows


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PerExample(ThreatModel):
    """A ball of its own size for each example of a batch: how a curve or a bisection is one attack."""

    eps: Tensor  # type: ignore[assignment]
    """Radii (N,), finite."""

    def _check_eps(self) -> None:
        if self.eps.ndim != 1 or not self.eps.is_floating_point():
            raise ValueError(f"eps must be floats (N,), one an example, got {self.eps.dtype} {tuple(self.eps.shape)}")

    def __str__(self) -> str:
        return f"{self.norm}, an eps for each of {len(self.eps)} examples"

    @property
    def one_eps(self) -> float:
        raise ValueError(f"eps must be one number here, got one for each of {len(self.eps)} examples")

    @property
    def is_nothing(self) -> bool:
        # Asking would make a GPU wait; a ball of radius 0 gives the image back by itself.
        return False

    def radius(self, images: Tensor) -> Radius:
        return per_example(self.eps.to(images), images)

    def eps_of(self, images: Tensor) -> Tensor:
        return self.eps.to(images)

    def of(self, rows: Tensor | slice) -> ThreatModel:
        return replace(self, eps=self.eps[rows])

    def check_examples(self, count: int) -> None:
        if len(self.eps) != count:
            raise ValueError(f"eps must be one number or one for each of {count} examples, got {len(self.eps)}")
        for eps in torch.stack(self.eps.aminmax()).tolist() if count else []:
            self.geometry.check_eps(eps, self.bounds)

    def refuse_infinite(self, what: str) -> None:
        """Radii of examples are finite by what they are made from."""
