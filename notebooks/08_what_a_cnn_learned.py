# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What has a CNN learnt, layer by layer?
#
# A convolutional network is a stack of filters. Which are they, what do they answer to, which part of a picture decides, and in
# which layer does an adversarial example come apart from the picture it was made of?

# %%
import torch

from robustcnn import PGD, FitConfig, OptimConfig, ThreatModel, build, craft, describe, fit, load, score
from robustcnn.models import evaluating, global_seed
from robustcnn.report import picture_rows

train, validation, test = load("digits")
with global_seed(0):
    model = build("smallcnn", train.spec, width=0.25)
config = FitConfig(epochs=8, batch_size=64, optim=OptimConfig(lr=0.05, schedule="one-cycle"))
list(fit(model, train, validation, config, progress=False))
print(f"test accuracy {100 * score(model, test).accuracy:.1f} %\n")
print(describe(model))

# %% [markdown]
# The filters of the first layer, five pixels a side: edges and blobs. White is a positive weight.

# %%
convolutions = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
filters = convolutions[0].weight.detach()
scaled = 0.5 + 0.5 * filters / filters.abs().amax((1, 2, 3), keepdim=True)
picture_rows({"filters": scaled[:8]})

# %% [markdown]
# What each convolution makes of one digit: eight of its maps. They shrink, and from edges they turn into parts.

# %%
images, labels = next(test.batches(200))
maps = {}
hooks = [
    layer.register_forward_hook(lambda _, __, out, name=f"layer {at}": maps.update({name: out.detach()}))
    for at, layer in enumerate(convolutions, start=1)
]
with evaluating(model), torch.no_grad():
    model(images[:1])
for hook in hooks:
    hook.remove()
rows = {"the digit": images[:1]}
for name, made in maps.items():
    positive = made[0, :8, None].clamp_min(0)
    rows[name] = positive / positive.amax().clamp_min(1e-9)
picture_rows(rows)

# %% [markdown]
# Which part decides? Cover an 8x8 square with grey, everywhere in turn, and note what happens to the log-probability of the
# right class: dark is where covering hurts most, each digit on its own scale.


# %%
def occlusion(picture, label, side=8, step=2):
    places = range(0, picture.shape[-1] - side + 1, step)
    covered = picture.repeat(len(places) ** 2, 1, 1, 1)
    for index, (down, across) in enumerate((y, x) for y in places for x in places):
        covered[index, :, down : down + side, across : across + side] = 0.5
    with evaluating(model), torch.no_grad():
        right = model(covered).log_softmax(1)[:, label].view(1, 1, len(places), len(places))
    return (right - right.min()) / (right.max() - right.min())


chosen = [int((labels == digit).nonzero()[0]) for digit in range(8)]
heat = torch.cat([occlusion(images[index], labels[index]) for index in chosen])
picture_rows({"digit": images[chosen], "what decides": heat})

# %% [markdown]
# And under attack? The distance between the maps of a picture and of its adversarial twin, relative to the maps themselves: a small part
# of every convolution, and most of what the logits are made of.

# %%
attacked = craft(PGD(steps=20), model, images, labels, ThreatModel(norm="linf", eps=0.1))
seen = []
hooks = [layer.register_forward_hook(lambda _, __, out: seen.append(out.detach())) for layer in convolutions]
with evaluating(model), torch.no_grad():
    outputs = [model(images), model(attacked)]
for hook in hooks:
    hook.remove()
half = len(seen) // 2
pairs = [(images, attacked), *zip(seen[:half], seen[half:], strict=True), tuple(outputs)]
for name, (before, after) in zip(["pixels", *(f"layer {n + 1}" for n in range(half)), "logits"], pairs, strict=True):
    change = ((after - before).flatten(1).norm(dim=1) / before.flatten(1).norm(dim=1)).mean()
    print(f"{name:8} changed by {100 * change:5.1f} % of its length")

# %% [markdown]
# **What it means.** Nothing in the network is broken: a change of every map by a little, all in the direction that the next layer is
# sensitive to, adds up to another answer. **Larger:** replace `"digits"` by `"signs"` or your own `folder:PATH`, and the network by any of
# `robustcnn describe --help`.
