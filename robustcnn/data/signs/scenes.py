"""A flat sign out in the world: turned in space, before a street, in changing light, through a real lens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from robustcnn.data.signs.backgrounds import Draw, backgrounds


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """How a sign may be met; every scene draws its own values from these ranges."""

    scale: tuple[float, float] = (0.5, 0.95)
    """Side of the sign as a part of the frame."""
    overhang: float = 0.06
    """Part of the frame's half side by which the sign may leave it."""
    yaw: float = 40.0
    """Largest turn about the pole, in degrees."""
    pitch: float = 15.0
    """Largest nod, in degrees."""
    roll: float = 12.0
    """Largest rotation in the plane of the picture, in degrees."""
    light: tuple[float, float] = (0.5, 1.25)
    """Brightness; above 1 the lightest parts are overexposed."""
    cast: float = 0.15
    """Largest change of one colour channel against the others."""
    haze: float = 0.35
    """Most contrast lost to haze."""
    shade: float = 0.65
    """Deepest shadow over a part of the picture."""
    blur: float = 0.035
    """Largest standard deviation of the blur, as a part of the frame."""
    noise: float = 0.07
    """Largest standard deviation of the sensor's noise."""

    def __post_init__(self) -> None:
        for name in ("scale", "light"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} must be two positive numbers, the smaller first, got {low:g}, {high:g}")
        for name, most in {"yaw": 75, "pitch": 75, "roll": 180}.items():
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must lie in 0..{most} degrees, got {getattr(self, name):g}")
        for name in ("overhang", "cast", "haze", "shade", "blur", "noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a part of 1 and must lie in 0..1, got {getattr(self, name):g}")


def _views(draw: Draw, conditions: Conditions) -> Tensor:
    """(N, 3, 3) homographies from the picture's plane, -1..1 both ways, to the sign's."""
    radians = torch.pi / 180
    limits = (conditions.yaw, conditions.pitch, conditions.roll)
    yaw, pitch, roll = (draw.uniform(-limit * radians, limit * radians).flatten() for limit in limits)
    scale = draw.uniform(*conditions.scale).flatten()
    room = (1 + conditions.overhang - scale).clamp_min(0)
    across, down = (draw.uniform(-1, 1).flatten() * room for _ in range(2))
    zero, one = torch.zeros_like(scale), torch.ones_like(scale)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, dim=-1).view(-1, 3, 3)

    about_x = matrix(one, zero, zero, zero, pitch.cos(), -pitch.sin(), zero, pitch.sin(), pitch.cos())
    about_y = matrix(yaw.cos(), zero, yaw.sin(), zero, one, zero, -yaw.sin(), zero, yaw.cos())
    about_z = matrix(roll.cos(), -roll.sin(), zero, roll.sin(), roll.cos(), zero, zero, zero, one)
    turned = (about_z @ about_y @ about_x)[:, :, :2]
    # A pinhole camera some three to six signs away: what is nearer looks larger.
    nearness = draw.uniform(0.15, 0.35).flatten()
    seen = torch.cat([turned * torch.stack([scale, scale, nearness], dim=-1)[:, :, None]], dim=1)
    centre = torch.stack([zero, zero, one], dim=-1)[:, :, None]
    shift = matrix(one, zero, across, zero, one, down, zero, zero, one)
    homographies: Tensor = torch.linalg.inv(shift @ torch.cat([seen, centre], dim=2))
    return homographies


def _sight(draw: Draw, views: Tensor) -> Tensor:
    """(N, S, S, 2): for every pixel of the picture, the point of the sign's plane that it looks at."""
    x, y = draw.plane()
    right, down, start = views[..., None, None].unbind(2)
    rays = right * x + (down * y + start)
    return (rays[:, :2] / rays[:, 2:]).permute(0, 2, 3, 1)


def _place(sign: Tensor, mask: Tensor, draw: Draw, conditions: Conditions) -> Tensor:
    """Signs on their poles before random backgrounds."""
    # Twice as fine as the picture, then averaged: edges and letters do not crumble into steps.
    fine = Draw(count=draw.count, size=2 * draw.size, generator=draw.generator)
    sight = _sight(fine, _views(draw, conditions)).to(sign)
    # Colours travel multiplied by their coverage, or what lies outside the mask would bleed in at the edge.
    layers = torch.cat([sign * mask, mask], dim=1)
    if layers.shape[-1] > fine.size:
        layers = F.interpolate(layers, size=(fine.size, fine.size), mode="area")
    seen = F.avg_pool2d(F.grid_sample(layers, sight, mode="bilinear", align_corners=False), 2)
    across, down = sight.unbind(-1)
    pole = fine.inside(torch.minimum(0.07 - across.abs(), down)[:, None])
    scene = backgrounds(draw.count, size=draw.size, generator=draw.generator).to(sign)
    scene = scene.lerp(draw.uniform(0.3, 0.7).to(sign).expand_as(scene), F.avg_pool2d(pole, 2).expand_as(scene))
    return seen[:, :3] + (1 - seen[:, 3:]) * scene


def _light(draw: Draw, conditions: Conditions) -> tuple[Tensor, Tensor]:
    """What to multiply pixels by and then to add: sun, shade, colour cast and haze."""
    x, y = draw.plane()
    angle, depth = draw.uniform(-torch.pi, torch.pi), draw.uniform(-conditions.shade, conditions.shade).clamp_min(0)
    boundary = angle.cos() * x + angle.sin() * y + draw.uniform(-0.7, 0.7) + 0.3 * draw.clouds(4)
    gain = draw.uniform(*conditions.light) * (1 - depth * (boundary * 4 + 0.5).clamp(0, 1))
    gain = gain * (1 + draw.uniform(-conditions.cast, conditions.cast, 3, 1, 1))
    haze = draw.uniform(0, conditions.haze)
    return gain * (1 - haze), haze * draw.uniform(0.4, 0.9)


def _blur(pictures: Tensor, draw: Draw, conditions: Conditions) -> Tensor:
    """A Gaussian blur of its own width, across and down, for every picture."""
    reach = max(1, round(2.5 * conditions.blur * draw.size))
    steps = torch.arange(-reach, reach + 1, device=pictures.device)
    for dim in (2, 3):
        sigma = (draw.uniform(0, 1).square() * conditions.blur * draw.size).clamp_min(0.05).to(pictures)
        kernel = torch.softmax(-steps.square() / (2 * sigma.view(-1, 1).square()), dim=1)
        padded = F.pad(pictures, (reach, reach, 0, 0) if dim == 3 else (0, 0, reach, reach), mode="replicate")
        taps = kernel[:, :, None, None, None].unbind(1)
        pictures = padded.narrow(dim, 0, draw.size) * taps[0]
        for step, tap in enumerate(taps[1:], start=1):
            pictures = pictures.addcmul(padded.narrow(dim, step, draw.size), tap)
    return pictures


def scene(
    sign: Tensor,
    mask: Tensor,
    *,
    size: int,
    generator: torch.Generator,
    conditions: Conditions = Conditions(),
) -> Tensor:
    """Pictures (N, 3, size, size) in [0, 1] of signs (N, 3, h, w) and their masks (N, 1, h, w), one random scene each.

    Gradients reach the sign's pixels; noise and overexposure are cut off in the values but not in the gradients, which
    would otherwise vanish there.
    """
    if sign.ndim != 4 or sign.shape[1] != 3 or mask.shape != (len(sign), 1, *sign.shape[2:]):
        raise ValueError(
            f"sign must be (N, 3, h, w) and mask (N, 1, h, w), got {tuple(sign.shape)} and {tuple(mask.shape)} "
            "(one sign in many scenes: sign.expand(N, -1, -1, -1))"
        )
    draw = Draw(count=len(sign), size=size, generator=generator)
    placed = _place(sign, mask, draw, conditions)
    gain, veil = (part.to(sign) for part in _light(draw, conditions))
    pictures = _blur(placed * gain + veil, draw, conditions)
    grain = torch.randn(pictures.shape, generator=generator, device=generator.device)
    pictures = pictures + (draw.uniform(0, 1).square() * conditions.noise * grain).to(sign)
    exact = pictures.detach()
    return exact.clamp(0, 1) + (pictures - exact)
