"""Other people's networks with fresh weights: torchvision's classifiers, and one of each of timm's families."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

MOST = 150_000_000
"""Parameters; larger networks are built of the same blocks as smaller ones of their family."""
SIZES = (64, 96, 128, 224, 240, 256)
"""Pixels a side: the smallest that a network takes."""
TOO_LARGE = ("convnext_large", "regnet_y_128gf", "vit_l_16", "vit_l_32", "vit_h_14")
_FAMILIES = """
halonet26t repvgg_a0 cait_xxs24_224 coat_tiny convit_tiny convmixer_768_32 convnext_atto crossvit_tiny_240
cs3darknet_s davit_tiny deit_tiny_patch16_224 densenet121 dla34 dpn48b edgenext_xx_small efficientformer_l1
efficientformerv2_s0 efficientnet_lite0 efficientvit_b0 efficientvit_m0 fasternet_t0 fastvit_t8 focalnet_tiny_srf
gcvit_xxtiny ghostnet_050 hardcorenas_a hgnetv2_b0 hrnet_w18_small inception_next_atto inception_v3 inception_v4
mambaout_femto maxvit_pico_rw_256 poolformer_s12 mixer_s32_224 mobilenetv3_small_050 mobilevit_xxs
mvitv2_tiny nf_regnet_b0 nest_tiny nextvit_small pit_ti_224 pvt_v2_b0 rdnet_tiny regnetx_002 repghostnet_050
repvit_m0_9 res2net50_14w_8s resnest14d resnet10t resnetv2_18 rexnet_100 selecsls42 legacy_seresnet18 sequencer2d_s
shvit_s1 skresnet18 starnet_s1 swiftformer_xs swin_s3_tiny_224 swinv2_cr_tiny_224 tiny_vit_5m_224 tnt_s_patch16_224
tresnet_m twins_svt_small vgg11 visformer_tiny vit_tiny_patch16_224 vit_relpos_small_patch16_224 volo_d1_224
ese_vovnet19b_slim legacy_xception xception41 xcit_nano_12_p16_224 mnasnet_small eca_resnext26ts
beit_base_patch16_224
"""
FAMILIES = tuple(_FAMILIES.split())
FEW = (
    *("torchvision:resnet18", "torchvision:densenet121", "torchvision:googlenet", "torchvision:mobilenet_v3_small"),
    *("torchvision:shufflenet_v2_x0_5", "torchvision:squeezenet1_1", "torchvision:vit_b_32", "torchvision:swin_t"),
    *("timm:convnext_atto", "timm:repvgg_a0", "timm:nf_regnet_b0"),
)
"""One of each way of building, for every day."""


def names() -> list[str]:
    from torchvision import models

    ours = [name for name in models.list_models(module=models) if name not in TOO_LARGE]
    return [*(f"torchvision:{name}" for name in ours), *(f"timm:{name}" for name in FAMILIES)]


def network(name: str, *, count: int = 6) -> tuple[nn.Module, Tensor]:
    """The network with 10 classes, its norms' statistics settled, and pictures of the smallest size that it takes."""
    torch.manual_seed(0)
    for size in SIZES:
        with others_warnings():
            try:
                model = _built(name, size)
                images = pictures(count, size)
                _settle(model, images)
                with torch.no_grad():
                    model.eval()(images[:2])
            except (RuntimeError, ValueError, AssertionError, TypeError, IndexError) as problem:
                refusal = problem
                continue
        # What some keep between answers hangs on their weights, which so can be asked for gradients only once.
        if any("cache" in name for module in model.modules() for name in vars(module)):
            model.requires_grad_(False)
        return model, images
    raise refusal


def parameters(name: str) -> int:
    """How many; nothing is computed where the network lets itself be built without memory."""
    with others_warnings():
        for size in reversed(SIZES):
            for device in ("meta", "cpu"):
                # Errors of any kind: some read numbers while they are being built, some take no other size.
                with contextlib.suppress(Exception), torch.device(device):
                    return sum(parameter.numel() for parameter in _built(name, size).parameters())
    raise ValueError(f"{name} is built for no size of {SIZES}")


def pictures(count: int, size: int) -> Tensor:
    """Blurred noise, in bytes."""
    noise = torch.rand(count, 3, size // 4, size // 4, generator=torch.Generator().manual_seed(1))
    smooth = nn.functional.interpolate(noise, size, mode="bilinear")
    return (255 * (smooth + 0.1 * torch.randn(smooth.shape)).clamp(0, 1)).round() / 255


@contextmanager
def others_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _built(name: str, size: int) -> nn.Module:
    source, _, kind = name.partition(":")
    if source == "timm":
        import timm

        try:
            model: nn.Module = timm.create_model(kind, num_classes=10, img_size=size)
        except TypeError:
            model = timm.create_model(kind, num_classes=10)
        return model
    from torchvision import models

    options: dict[str, Any] = {"num_classes": 10}
    if kind in ("googlenet", "inception_v3"):
        options |= {"init_weights": False, "aux_logits": False}
    if kind.startswith("vit_"):
        options |= {"image_size": size}
    if kind == "maxvit_t":
        options |= {"input_size": (size, size)}
    built: nn.Module = models.get_model(kind, **options)
    return built


@torch.no_grad()
def _settle(model: nn.Module, images: Tensor) -> None:
    """Statistics of the pictures in all batch norms, so that signals neither die nor explode on their way."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    if norms:
        model.train()(images)
