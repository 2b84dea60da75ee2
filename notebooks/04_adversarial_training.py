# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What does a network look at once it has been trained against attacks?
#
# Adversarial training (Madry et al. 2018) solves a game: the attacker moves each training picture to where the loss is worst, the
# network then learns the picture that it was given. We watch the game epoch by epoch and look at what the winner has learnt.

# %%
from dataclasses import replace

import torch

from robustcnn import PGD, FitConfig, OptimConfig, ThreatModel, build, craft, fit, load
from robustcnn.models import global_seed
from robustcnn.report import picture_rows
from robustcnn.train import Adversarial

train, validation, test = load("digits")
threat = ThreatModel(norm="linf", eps=0.15)
images, labels = next(test.batches(200))

# %% [markdown]
# Eps grows over the first third of the training (`warmup`): a large ball is not learnt at once. `PGD` and `FGSM` in the lines below
# are accuracies of validation pictures under attack; the most robust epoch is kept, marked by a star.

# %%
plain_way = FitConfig(epochs=8, batch_size=64, optim=OptimConfig(lr=0.05, schedule="one-cycle"))
robust_way = replace(plain_way, epochs=12, objective=Adversarial(threat=threat, steps=3, warmup=0.3))
models, histories = {}, {}
for name, way in {"plain": plain_way, "adversarial": robust_way}.items():
    with global_seed(0):
        models[name] = build("smallcnn", train.spec, width=0.25)
    histories[name] = list(fit(models[name], train, validation, way, progress=False))
for epoch in histories["adversarial"]:
    print(epoch)

# %% [markdown]
# The price and the gain, on 200 test pictures:

# %%
for name, model in models.items():
    attacked = craft(PGD(steps=20), model, images, labels, threat)
    with torch.no_grad():
        clean, robust = ((model(each).argmax(1) == labels).float().mean() for each in (images, attacked))
    print(f"{name:12} clean {100 * clean:5.1f} %   under attack {100 * robust:5.1f} %")

# %% [markdown]
# Which pixels would each network like changed? The gradient of the loss with respect to the picture says. A plain network's is
# noise to the eye; a robust one's has the shape of strokes, because only changes that mean something are left to move it.

# %%
chosen = torch.stack([(labels == digit).nonzero()[0, 0] for digit in range(8)])
rows = {"digit": images[chosen]}
for name, model in models.items():
    leaf = images[chosen].clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(model(leaf), labels[chosen], reduction="sum")
    (slope,) = torch.autograd.grad(loss, leaf)
    rows[name] = 0.5 + 0.5 * slope / slope.abs().amax((1, 2, 3), keepdim=True)
picture_rows(rows)

# %% [markdown]
# **What it means.** Robustness costs some clean accuracy and a multiple of the training time, and the network that comes out uses
# features that a person would use. The gradient of such a network is a picture; that is why its adversarial examples, when they
# succeed at all, begin to look like the other class.
#
# **Larger.** `robustcnn train mnist-madry` or `fashion-trades`, then `robustcnn evaluate RUN` for AutoAttack; `--objective trades`,
# `mart`, `fast`, `free`, `--fit.awp 0.005` for the other methods. `experiments/16_overfitting.py` shows how one-step training goes wrong.
