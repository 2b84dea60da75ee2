# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How much of a network's robustness can be proven?
#
# An attack shows what breaks; what it leaves may fall to a better one. A bound shows what no attack can break; what it leaves open may
# be robust all the same. Between the two lies what nobody knows. We train one network plainly and one for the bound (interval bound
# propagation, Gowal et al. 2018) and look at both sides.

# %%
import torch
from IPython.display import Image

from robustcnn import PGD, FitConfig, OptimConfig, ThreatModel, build, fit, load
from robustcnn.certify import bounds, certified, radii
from robustcnn.evaluate import evaluate
from robustcnn.models import global_seed
from robustcnn.report import plots
from robustcnn.train import Ibp, Standard

train, validation, test = load("digits")
threat = ThreatModel(norm="linf", eps=0.05)

# %% [markdown]
# eps grows over the first part of the training, while the share of the bound in the loss grows with it. `proven` in the lines below is
# the share of validation pictures that intervals prove; the epoch with most of them is kept.

# %%
optim = OptimConfig(name="adam", lr=3e-3, schedule="cosine")
models = {}
for name, objective in {"plain": Standard(), "for the bound": Ibp(threat=threat, warmup=0.6)}.items():
    with global_seed(0):
        models[name] = build("stridedcnn", train.spec, width=0.25, narrow_init=True)
    way = FitConfig(epochs=10, batch_size=32, optim=optim, objective=objective, watch=60)
    for epoch in fit(models[name], train, validation, way, progress=False):
        if epoch.epoch in (1, 5, 10):
            print(f"{name:<14}{epoch}")

# %% [markdown]
# Three ways to bound the margins of the same pictures, the cheapest first. What is below 0 is not proven, which does not mean that it is
# broken.

# %%
images, labels = next(test.batches(24))
for name, model in models.items():
    for method in ("interval", "crown", "alpha-crown"):
        least = bounds(model, images, labels, threat, method=method, steps=5).amin(1)
        proven = certified(model, images, labels, threat, method=method, steps=5)
        print(
            f"{name:<14}{method:<12} worst margins {least.mean():9.2f} in the mean, {int(proven.sum()):2d} of {len(images)} proven"
        )

# %% [markdown]
# And both sides over eps: the line is what PGD leaves, the dotted one what is proven, and hatched what nobody knows.

# %%
threats = [ThreatModel(norm="linf", eps=eps) for eps in (0.01, 0.03, 0.05)]
few = test.subset(torch.arange(60))
reports = {
    name: evaluate(model, few, [PGD(steps=10)], threats, certify="crown", name=name) for name, model in models.items()
}
for name, report in reports.items():
    for proof in report.proofs:
        print(f"{name:<14}eps {proof.eps:.2f}: {proof.says}")
Image(plots.png(plots.robustness_curves(reports, "linf")))

# %% [markdown]
# How far each of ten pictures is proven, by bisection.

# %%
for name, model in models.items():
    print(name, [f"{eps:.3f}" for eps in radii(model, images[:10], labels[:10], threat, rounds=5).tolist()])
