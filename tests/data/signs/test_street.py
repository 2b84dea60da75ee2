"""A drawn street as a channel."""

from __future__ import annotations

import torch

from robustcnn.core.runtime import seeded
from robustcnn.data.signs.road_signs import front_view
from robustcnn.data.signs.scenes import Conditions, scene
from robustcnn.data.signs.street import Street


def test_a_street_is_a_scene_and_gradients_reach_the_sign() -> None:
    sign, outline = front_view("stop", size=32)
    signs = sign.expand(3, -1, -1, -1).clone().requires_grad_()
    conditions = Conditions(yaw=10)
    street = Street(outline=outline, size=32, conditions=conditions)
    shown = street(signs, generator=seeded(4))
    masks = outline.expand(3, -1, -1, -1)
    assert torch.equal(shown, scene(signs, masks, size=32, generator=seeded(4), conditions=conditions))
    (slope,) = torch.autograd.grad(shown.sum(), signs)
    assert (slope.flatten(1).abs().sum(1) > 0).all()
