"""VGG networks (Simonyan and Zisserman 2015)."""

from __future__ import annotations

from torch import nn

from robustcnn.core.spec import ImageSpec
from robustcnn.models.layers import ActivationName, PoolName, conv_block, linear_block, pool_layer, scaled
from robustcnn.models.sizes import flat_features, is_large


def vgg(
    depths: tuple[int, ...],
    spec: ImageSpec,
    outputs: int,
    *,
    dropout: float = 0.5,
    batch_norm: bool = False,
    activation: ActivationName = "relu",
    pool: PoolName = "max",
    width: float = 1.0,
) -> nn.Module:
    """Five stages of `depths` 3x3 convolutions; two hidden layers of 4,096 units, of 512 below 128 pixels."""
    layers: list[nn.Module] = []
    inputs = spec.channels
    for stage, depth in enumerate(depths):
        maps = scaled(min(64 * 2**stage, 512), width)
        for _ in range(depth):
            layers.append(conv_block(inputs, maps, 3, padding=1, batch_norm=batch_norm, activation=activation))
            inputs = maps
        # Below 32 pixels, four poolings leave a single one: nothing to pool a fifth time.
        if stage < 4 or min(spec.height, spec.width) >= 32:
            layers.append(pool_layer(pool, 2, stride=2))
    flat = flat_features(nn.Sequential(*layers), spec)
    hidden = scaled(4096 if is_large(spec) else 512, width)
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        linear_block(flat, hidden, dropout=dropout, activation=activation),
        linear_block(hidden, hidden, dropout=dropout, activation=activation),
        nn.Linear(hidden, outputs),
    )
