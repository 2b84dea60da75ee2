"""What may be weights of examples."""

from __future__ import annotations

from torch import Tensor


def check_weights(weights: Tensor, count: int, name: str = "weights") -> None:
    """Refuse what is not one number an example, none below 0 and one above."""
    if weights.shape != (count,):
        raise ValueError(f"{name} must hold one number an example, ({count},), got {tuple(weights.shape)}")
    for is_wrong, what in ((weights.isnan(), "NaN"), (weights.isinf(), "infinity"), (weights < 0, None)):
        if is_wrong.any():
            first = int(is_wrong.nonzero()[0])
            got = what or f"{float(weights[first]):g}"
            raise ValueError(f"{name} must be finite and at least 0, got {got} at index {first}")
    if count and not weights.any():
        raise ValueError(f"{name} must not be zero for all examples: none would count")
