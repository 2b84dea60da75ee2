# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Does regularisation make a network robust?
#
# Dropout, L2, augmentation and noise narrow the gap between training and test accuracy. An adversarial example is an error on a
# picture that no one can tell from a test picture: should they not help there too? We train one network five times on the
# embedded digits, change one thing each time, and attack each network with growing eps.

# %%
from dataclasses import replace

from IPython.display import Image, Markdown

from robustcnn import PGD, Augment, FitConfig, OptimConfig, ThreatModel, build, evaluate, fit, load
from robustcnn.models import global_seed
from robustcnn.report import plots
from robustcnn.train import Adversarial

train, validation, test = load("digits")
some = test.subset(120)
radii = (0.025, 0.05, 0.1)

# %% [markdown]
# Five ways of training. Only the last one ever sees an attacked picture.

# %%
base = FitConfig(epochs=8, batch_size=64, optim=OptimConfig(lr=0.05, schedule="one-cycle"), watch=0)
hardened = Adversarial(threat=ThreatModel(norm="linf", eps=0.1), steps=3, warmup=0.3)
ways = {
    "plain": (0.0, base),
    "dropout 0.5": (0.5, base),
    "L2": (0.0, replace(base, l2=0.5)),
    "shift, turn, noise": (0.0, replace(base, augment=Augment(shift=2, rotate=10, noise=0.1))),
    "adversarial": (0.0, replace(base, objective=hardened)),
}


def trained(dropout, config):
    with global_seed(0):
        model = build("smallcnn", train.spec, width=0.25, dropout=dropout)
    list(fit(model, train, validation, config, progress=False))
    return model


models = {name: trained(*way) for name, way in ways.items()}

# %% [markdown]
# Each is attacked by PGD at three eps. An example counts as robust when it is right and stays right under attack.

# %%
threats = [ThreatModel(norm="linf", eps=eps) for eps in radii]
reports = {name: evaluate.evaluate(model, some, [PGD(steps=20)], threats) for name, model in models.items()}
accuracies = {
    name: {0.0: [report.clean.accuracy.value]} | {each.eps: [each.robust.value] for each in report.threats}
    for name, report in reports.items()
}
Image(plots.png(plots.training_effects(accuracies)))

# %%
head = "| trained with | clean | " + " | ".join(f"eps {eps:g}" for eps in radii) + " |\n|---|---|" + "---|" * len(radii)
rows = [
    f"| {name} | {report.clean.accuracy} | " + " | ".join(str(each.robust) for each in report.threats) + " |"
    for name, report in reports.items()
]
Markdown("\n".join([head, *rows]))

# %% [markdown]
# **What it means.** The first four rows end in nearly the same place: regularisation answers the question of which *test* pictures a
# network gets right, not of how far it is from changing its mind. Augmentation and noise move the curve a little, training on
# attacked pictures moves it much, and the intervals in brackets say how much of a difference 120 pictures can show at all.
#
# **Larger.** `python experiments/15_regularisation.py` does this on Fashion-MNIST with eleven ways, three seeds and AutoPGD. On the command
# line: `robustcnn train digits-quick --model.dropout 0.5 --name mine`, then `robustcnn evaluate mine`.
