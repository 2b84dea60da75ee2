# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Why does one small step suffice?
#
# Goodfellow et al. (2015) say: because networks are *too linear*. A linear model's logit is a sum over pixels; move each of n pixels by
# eps in the direction of its weight's sign, and the sum moves by eps times the sum of n absolute weights: tiny steps that all agree.
# Three measurements test this on networks trained here.

# %%
import torch
from IPython.display import Image

from robustcnn import FitConfig, OptimConfig, build, fit, load
from robustcnn.evaluate import (
    error_along,
    logits_along,
    sign_agreement,
    sign_direction,
    straightness,
)
from robustcnn.models import global_seed
from robustcnn.report import plots

train, validation, test = load("digits")
config = FitConfig(epochs=8, batch_size=64, optim=OptimConfig(lr=0.05, schedule="one-cycle"))
models = {}
for name in ("logistic", "smallcnn", "lenet5"):
    with global_seed(0):
        models[name] = build(name, train.spec, **({"width": 0.25} if name == "smallcnn" else {}))
    list(fit(models[name], train, validation, config, progress=False))
images, labels = next(test.batches(200))

# %% [markdown]
# ## 1. Logits along the sign of the gradient
# One picture, walked along its FGSM direction, forwards and backwards. If the network were wildly curved the lines would be too.

# %%
eps = [step / 100 for step in range(-30, 31, 2)]
model = models["smallcnn"]
direction = sign_direction(model, images, labels)
logits = logits_along(model, images, direction, eps)
Image(plots.png(plots.logits_along(logits[:, 0], eps, test.classes, int(labels[0]))))

# %%
for name, each in models.items():
    line = straightness(logits_along(each, images, sign_direction(each, images, labels), eps), eps)
    print(f"{name:9} a straight line explains {100 * line.mean():.1f} % of the logits' movement")

# %% [markdown]
# ## 2. Error against eps
# If the step is a matter of direction, more of it means more errors, for all networks alike.

# %%
ahead = [step / 100 for step in range(0, 31, 2)]
errors = {
    name: error_along(each, images, labels, sign_direction(each, images, labels), ahead)
    for name, each in models.items()
}
Image(plots.png(plots.error_along(errors, ahead)))

# %% [markdown]
# ## 3. Do different networks agree?
# The share of pixels at which the directions of two networks have the same sign. Chance is one half. What they agree on is why an
# example made on one network fools another that the attacker has never seen.

# %%
directions = {name: sign_direction(each, images, labels) for name, each in models.items()}
names = list(models)
for first, second in [(0, 1), (0, 2), (1, 2)]:
    one, other = names[first], names[second]
    same = sign_agreement(directions[one], directions[other]).mean()
    with torch.no_grad():
        fooled = (models[other](images + 0.15 * directions[one]).argmax(1) != labels).float().mean()
    print(
        f"{one} and {other}: {100 * same:.0f} % of the signs agree; {one}'s step of 0.15 makes {other} err on {100 * fooled:.0f} %"
    )

# %% [markdown]
# **What it means.** Along this direction a straight line tells most of what even a deep network does, and networks of different design share much
# of the direction. That is an explanation of why FGSM works, and a warning: a network that is *not* fooled by one straight step may
# have learnt to bend just there (see `experiments/16_overfitting.py`), which is why robustness is measured with many steps.
