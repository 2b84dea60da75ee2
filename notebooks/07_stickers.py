# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Can a few stickers hide a stop sign?
#
# Eykholt et al. (2018) stuck black and white bars on a real stop sign, and a classifier took it for a speed limit from most distances and
# angles. Their method, RP2, looks for *one* sticker that works in *many* views: it descends the mean loss over draws of the view, in
# colours that a printer can print, inside a mask.

# %%
import torch

from robustcnn import FitConfig, OptimConfig, build, fit, load, score, seeded
from robustcnn.attacks import RP2, two_bars
from robustcnn.data import SIGNS, DataConfig, Street, front_view
from robustcnn.evaluate import sticker_score
from robustcnn.models import global_seed
from robustcnn.report import picture_rows

train, validation, test = load(DataConfig(name="signs", drawn=5000))
with global_seed(0):
    model = build("smallcnn", train.spec, width=0.25)
optim = OptimConfig(name="adam", lr=3e-3, schedule="cosine")
list(fit(model, train, validation, FitConfig(epochs=8, batch_size=64, optim=optim), progress=False))
print(f"test accuracy {100 * score(model, test).accuracy:.1f} %")

# %% [markdown]
# A sign as seen from the front, two bars on it, and the street: it draws distance, angle, light and background anew for every view.

# %%
sign, outline = front_view("stop", size=64)
street, mask = Street(outline=outline), two_bars(64, 64)
label, target = SIGNS.index("stop"), SIGNS.index("speed limit 45")
sticker = RP2(steps=80, views=24)(model, sign[None], mask, target=target, channel=street, generator=seeded(0))
picture_rows({"sign": sign[None], "with stickers": sticker.on(sign[None])}, largest=192)

# %% [markdown]
# What counts are views that the search has not seen, and of these the ones in which the bare sign is recognised.

# %%
found = sticker_score(model, sticker, sign[None], label=label, target=target, channel=street, views=300)
print(f"bare sign recognised            {found.clean}")
print(f"with stickers: speed limit 45   {found.targeted}")
print(f"with stickers: anything but stop {found.fooled}")

# %%
views = [street(each.repeat(10, 1, 1, 1), generator=seeded(5)) for each in (sign[None], sticker.on(sign[None]))]
with torch.no_grad():
    answers = [[SIGNS[index] for index in model(each).argmax(1).tolist()] for each in views]
print("\n".join(f"{bare:18} -> {stuck}" for bare, stuck in zip(*answers, strict=True)))
picture_rows({"bare": views[0], "with stickers": views[1]})

# %% [markdown]
# **What it means.** No pixel of the camera's picture was touched, only the sign. One search gave one sticker for all views: robustness to
# tiny changes of every pixel is one thing, to a large change of a few is another. **Larger:** `python experiments/12_stickers.py` has other
# masks, distances, angles and light, an adversarially trained network, and photographs of real signs with `--gtsrb`.
