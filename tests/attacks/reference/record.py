"""Record how the authors' own AutoAttack moves on a fixed tiny network: python record.py, with `autoattack` at hand.

The numbers are kept in `trajectories.npz` beside this file; the tests hold our attacks to them. All is float64, as
rounding would part two right implementations after a few signs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from autoattack.autopgd_base import APGDAttack, APGDAttack_targeted, L1_projection
from autoattack.fab_pt import FABAttack_PT
from autoattack.square import SquareAttack
from torch import Tensor, nn

HERE = Path(__file__).parent
STEPS = (1, 2, 3, 5, 9, 10, 21, 22, 23, 24, 41, 42, 57, 58, 70, 71, 80, 88, 94, 100)
"""Gradient steps whose points are kept: all round the checkpoints."""
EPS = {"linf": 0.01, "l2": 0.05, "l1": 0.2}
"""Small enough for the images of the interior to stay clear of the bounds in linf and l2."""
LARGE = 0.6
"""Of the smallest of the three balls in l1."""
NORMS = {"linf": "Linf", "l2": "L2", "l1": "L1"}
Numbers = dict[str, np.ndarray]


def network(numbers: Numbers) -> nn.Module:
    """Smooth, so that no step hinges on a kink."""
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 6)).double()
    generator = torch.Generator().manual_seed(5)
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(drawn * (1.5 if parameter.ndim == 4 else 0.5))
        numbers[f"network/{name}"] = parameter.detach().numpy()
    return model.eval().requires_grad_(False)


class Recorded(nn.Module):
    """Notes the points at which a gradient is asked for."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.points = model, []

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            self.points.append(images.detach().clone())
        return self.model(images)


@contextmanager
def all_double() -> Iterator[None]:
    """The reference turns its input into float32 here and there."""
    kept = torch.Tensor.float
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.Tensor.float = kept
        torch.set_default_dtype(torch.float32)


def record_apgd(numbers: Numbers, model: nn.Module, images: Tensor, labels: Tensor) -> None:
    for norm, eps in EPS.items():
        for loss in ("ce", "dlr", "targeted"):
            recorded = Recorded(model)
            options = {"norm": NORMS[norm], "eps": eps, "n_iter": 100, "device": "cpu", "use_largereps": False}
            if loss == "targeted":
                attack = APGDAttack_targeted(recorded, **options)
                attack.y_target = model(images).sort(dim=1)[1][:, -3]
            else:
                attack = APGDAttack(recorded, loss=loss, **options)
            attack.init_hyperparam(images)
            torch.manual_seed(3)
            best, _, loss_best, _ = attack.attack_single_run(images, labels)
            points = torch.stack(recorded.points)
            numbers[f"apgd/{norm}/{loss}/start"] = points[0].numpy()
            numbers[f"apgd/{norm}/{loss}/points"] = points[list(STEPS)].numpy()
            numbers[f"apgd/{norm}/{loss}/best_loss"] = loss_best.numpy()
            numbers[f"apgd/{norm}/{loss}/best"] = best.detach().numpy()
    record_large_balls(numbers, model, images, labels)


def record_large_balls(numbers: Numbers, model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """AutoAttack's l1: three balls of shrinking radius, one after the other."""
    recorded = Recorded(model)
    attack = APGDAttack(recorded, norm="L1", eps=LARGE, n_iter=100, device="cpu", loss="ce", use_largereps=True)
    attack.init_hyperparam(images)
    torch.manual_seed(4)
    best, *_ = attack.decr_eps_pgd(images, labels, [3 * LARGE, 2 * LARGE, LARGE], [30, 30, 40])
    points = torch.stack(recorded.points)
    numbers["apgd/l1/balls/start"] = points[0].numpy()
    # A look at the start of each ball, then its steps. Rounding's dust counts as moved pixels there and not here, which
    # shows for a step or two before a ball's end: none of those is kept.
    numbers["apgd/l1/balls/points"] = points[[1, 2, 5, 10, 32, 33, 40, 61, 63, 64, 80, 102]].numpy()
    numbers["apgd/l1/balls/best"] = best.detach().numpy()


def record_fab(numbers: Numbers, model: nn.Module, images: Tensor, labels: Tensor) -> None:
    for norm, eps in EPS.items():
        for targeted in (False, True):
            recorded = Recorded(model)
            attack = FABAttack_PT(recorded, norm=NORMS[norm], eps=eps, n_iter=40, device="cpu", targeted=targeted)
            attack.target_class = 2
            found = attack.attack_single_run(images, labels, is_targeted=targeted)
            name = f"fab/{norm}/{'targeted' if targeted else 'all'}"
            numbers[f"{name}/points"] = torch.stack(recorded.points)[[0, 1, 2, 3, 5, 10, 20, 39]].numpy()
            numbers[f"{name}/found"] = found.detach().numpy()


def record_square(numbers: Numbers, model: nn.Module) -> None:
    """The windows' sides by query, the saddles, and whole runs with all that was drawn on the way."""
    side = 10
    images = torch.rand(1, 2, side, side, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    labels = torch.zeros(1, dtype=torch.int64)
    for norm, eps in EPS.items():
        attack = SquareAttack(_Shrunk(model), norm=NORMS[norm], n_queries=5000, eps=eps, device="cpu", loss="margin")
        attack.rescale_schedule = False
        attack.init_hyperparam(images)
        queries = [1, 10, 11, 50, 51, 200, 201, 500, 501, 1000, 1001, 2000, 2001, 4000, 4001, 4999]
        numbers["square/queries"] = np.array(queries)
        numbers["square/shares"] = np.array([attack.p_selection(query) for query in queries])
        if norm != "linf":
            for width in (3, 5, 7):
                numbers[f"square/{norm}/saddle/{width}"] = attack.eta(width).numpy()
        _record_run(numbers, attack, norm, images, labels)


def _record_run(numbers: Numbers, attack: SquareAttack, norm: str, images: Tensor, labels: Tensor) -> None:
    seen: list[Tensor] = []
    places: list[int] = []
    colours: list[Tensor] = []
    lying: list[bool] = []
    wrapped, eta = attack.margin_and_loss, attack.eta
    integers, choices = attack.random_int, attack.random_choice

    def margin_and_loss(candidates: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(candidates.clone())
        margins, losses = wrapped(candidates, labels)
        # Nothing is fooled, so that the run goes on.
        return margins.abs() + 1, losses

    def random_int(low: int = 0, high: int = 1, shape: tuple[int, ...] = (1,)) -> Tensor:
        drawn = integers(low, high, list(shape))
        places.append(int(drawn[0]))
        return drawn

    def random_choice(shape: list[int]) -> Tensor:
        drawn = choices(shape)
        colours.append(drawn.flatten().clone())
        return drawn

    def noted_eta(side: int) -> Tensor:
        saddle = eta(side)
        # Upright: the first row is all of one sign.
        lying.append(not bool((saddle[0] > 0).all()))
        return saddle

    attack.eta = noted_eta
    attack.margin_and_loss, attack.random_int, attack.random_choice = margin_and_loss, random_int, random_choice
    attack.n_queries, attack.p_init = 40, 0.3
    torch.manual_seed(9)
    attack.attack_single_run(images, labels)
    numbers["square/images"] = images.numpy()
    numbers[f"square/{norm}/candidates"] = torch.cat(seen).numpy()
    numbers[f"square/{norm}/places"] = np.array(places)
    numbers[f"square/{norm}/colours"] = torch.cat(colours).numpy()
    numbers[f"square/{norm}/lying"] = np.array(lying)


class _Shrunk(nn.Module):
    """The network on larger pictures."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(nn.functional.adaptive_avg_pool2d(images, 6))


def record_projection(numbers: Numbers) -> None:
    generator = torch.Generator().manual_seed(6)
    images = torch.rand(8, 2, 6, 6, generator=generator, dtype=torch.float64)
    changes = torch.randn(8, 2, 6, 6, generator=generator, dtype=torch.float64)
    numbers["projection/images"], numbers["projection/changes"] = images.numpy(), changes.numpy()
    numbers["projection/l1"] = (images + changes + L1_projection(images, changes, 3.0)).numpy()


def main() -> None:
    numbers: Numbers = {}
    with all_double():
        model = network(numbers)
        generator = torch.Generator().manual_seed(1)
        images = 0.4 + 0.2 * torch.rand(3, 2, 6, 6, generator=generator, dtype=torch.float64)
        labels = model(images).argmax(1)
        numbers["images"], numbers["labels"] = images.numpy(), labels.numpy()
        record_apgd(numbers, model, images, labels)
        record_fab(numbers, model, images, labels)
        record_square(numbers, model)
        record_projection(numbers)
    numbers["steps"] = np.array(STEPS)
    np.savez_compressed(HERE / "trajectories.npz", **numbers)


if __name__ == "__main__":
    main()
