# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Can unlabelled pictures teach a classifier?
#
# A generative adversarial network needs no labels: a generator draws pictures from noise, a discriminator learns to tell them from real
# ones. To do so it must find features of real pictures. Take its convolutions as the start of a classifier: does that help when labels
# are few? We pre-train a small DCGAN (Radford et al. 2016) on the embedded digits, without their labels, and try.

# %%
import torch
from IPython.display import Image

from robustcnn import PGD, FitConfig, OptimConfig, ThreatModel, build, craft, fit, load, score, seeded
from robustcnn.models import DcganConfig, Generator, classifier_from, discriminator, global_seed
from robustcnn.report import picture_rows, plots
from robustcnn.train import GanConfig, pretrain

train, _, test = load("digits")
design = DcganConfig(width=0.25)
with global_seed(0):
    painter, judge = Generator(train.spec, design), discriminator(train.spec, design)
noise = torch.randn(12, design.latent, generator=seeded(1))
shown, history = {}, []
for epoch in pretrain(
    painter, judge, train, GanConfig(epochs=14, batch_size=16, lr=1e-4, generator_lr=5e-4, samples=200), progress=False
):
    history.append(epoch)
    if epoch.epoch in (1, 4, 8, 14):
        painter.eval()
        with torch.no_grad():
            shown[f"after epoch {epoch.epoch}"] = painter(noise)

# %% [markdown]
# The same twelve vectors of noise, as the generator draws them while it learns. Fourteen epochs are a
# beginning, not art.

# %%
picture_rows(shown | {"real": train.images[:12]})

# %%
Image(plots.png(plots.gan_curves(history)))

# %% [markdown]
# Now 100 labels, and no others: 80 are learnt from, 20 choose the epoch. Two classifiers of the same architecture: one starts
# at random, one from the discriminator.

# %%
few, choosing = train.subset(train.rows(100, generator=seeded(0))).split(0.2, generator=seeded(0))
threat = ThreatModel(norm="linf", eps=0.05)
images, labels = next(test.batches(200))
config = FitConfig(epochs=30, batch_size=20, optim=OptimConfig(name="adam", lr=1e-3, schedule="cosine"), watch=0)
with global_seed(0):
    starts = {"random": build("dcgan", train.spec, width=0.25), "discriminator": classifier_from(judge, train.spec)}
for name, model in starts.items():
    list(fit(model, few, choosing, config, progress=False))
    attacked = craft(PGD(steps=10), model, images, labels, threat)
    with torch.no_grad():
        robust = (model(attacked).argmax(1) == labels).float().mean()
    print(
        f"start: {name:14} test accuracy {100 * score(model, test).accuracy:.1f} %, under PGD at 0.05 {100 * robust:.1f} %"
    )

# %% [markdown]
# **What it means.** One seed and one small set settle nothing: read the two lines as a demonstration of how it is done. Whether it helps,
# with how many labels and for robustness too, is measured over seeds by `experiments/13_dcgan_initialisation.py`, and reported as it came out.
#
# **Larger.** `robustcnn pretrain fashion-dcgan --name painter`, then `robustcnn train --data.name fashion-mnist --init-from painter
# --freeze features`.
