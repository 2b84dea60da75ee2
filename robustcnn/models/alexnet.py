"""AlexNet (Krizhevsky et al. 2012)."""

from __future__ import annotations

from functools import partial

from torch import nn

from robustcnn.core.spec import ImageSpec
from robustcnn.models.layers import ActivationName, PoolName, conv_block, linear_block, pool_layer, scaled
from robustcnn.models.sizes import flat_features, is_large


def local_response_norm() -> nn.Module:
    """The paper's k = 2, n = 5, alpha = 1e-4, beta = 0.75; torch divides its alpha by n."""
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


def alexnet(
    spec: ImageSpec,
    outputs: int,
    *,
    dropout: float = 0.5,
    batch_norm: bool | None = None,
    activation: ActivationName = "relu",
    pool: PoolName = "max",
    width: float = 1.0,
) -> nn.Module:
    """The paper's network from 128 pixels on; below, half as wide, with a first layer of 5x5 and stride 1.

    `batch_norm` True or False replaces or removes the paper's local response normalisation, which small images do
    without.
    """
    large, conv = is_large(spec), partial(conv_block, batch_norm=bool(batch_norm), activation=activation)
    # Two groups that do not see each other are the paper's two GPUs.
    share, groups, units = (width, 2, 4096) if large else (width / 2, 1, 1024)
    c1, c2, c3, c4, c5 = (scaled(count, share, multiple=2) for count in (96, 256, 384, 384, 256))
    # The paper's 224 pixels need a padding of 2 to give its 55x55 maps, 227 pixels need none.
    padding = 0 if (spec.height - 11) % 4 == (spec.width - 11) % 4 == 0 else 2
    lrn = [local_response_norm()] if large and batch_norm is None else []
    features = nn.Sequential(
        conv(spec.channels, c1, 11, stride=4, padding=padding) if large else conv(spec.channels, c1, 5, padding=2),
        *lrn,
        pool_layer(pool, 3, stride=2),
        conv(c1, c2, 5, padding=2, groups=groups),
        *lrn,
        pool_layer(pool, 3, stride=2),
        conv(c2, c3, 3, padding=1),
        conv(c3, c4, 3, padding=1, groups=groups),
        conv(c4, c5, 3, padding=1, groups=groups),
        pool_layer(pool, 3, stride=2),
    )
    hidden = scaled(units, share)
    return nn.Sequential(
        *features,
        nn.Flatten(),
        linear_block(flat_features(features, spec), hidden, dropout=dropout, activation=activation),
        linear_block(hidden, hidden, dropout=dropout, activation=activation),
        nn.Linear(hidden, outputs),
    )
