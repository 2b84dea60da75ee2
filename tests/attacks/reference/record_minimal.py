"""Record how adversarial-library's DDN and FMN move on record.py's network: run it with `adv_lib` at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from adv_lib.attacks.decoupled_direction_norm import ddn
from adv_lib.attacks.fast_minimum_norm import fmn
from torch import Tensor, nn

HERE = Path(__file__).parent
STEPS = 40
KEPT = (0, 1, 2, 3, 5, 8, 13, 20, 30, 39)
ORDERS = {"linf": float("inf"), "l2": 2.0, "l1": 1.0}


class Recorded(nn.Module):
    """The recorded network; notes the points it is shown."""

    def __init__(self, known: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 6)).double()
        names = {key: key.removeprefix("network/") for key in known if key.startswith("network/")}
        self.net.load_state_dict({name: torch.from_numpy(known[key]) for key, name in names.items()})
        self.points: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.points.append(images.detach().clone())
        return self.net(images)


def main() -> None:
    torch.set_default_dtype(torch.float64)
    with np.load(HERE / "trajectories.npz") as file:
        known = dict(file)
    images, labels = torch.from_numpy(known["images"]), torch.from_numpy(known["labels"])
    numbers: dict[str, np.ndarray] = {"kept": np.array(KEPT)}
    model = Recorded(known)
    ddn(model, images, labels, steps=STEPS, init_norm=0.2, levels=None)
    numbers["ddn/points"] = torch.stack(model.points)[list(KEPT)].numpy()
    for norm, order in ORDERS.items():
        model = Recorded(known)
        found = fmn(model, images, labels, norm=order, steps=STEPS, α_init=0.3)
        numbers[f"fmn/{norm}/distance"] = (found - images).flatten(1).norm(p=order, dim=1).numpy()
    np.savez_compressed(HERE / "minimal.npz", **numbers)


if __name__ == "__main__":
    main()
