# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Does an adversarial picture survive being printed and photographed?
#
# Kurakin, Goodfellow & Bengio (2017) printed adversarial pictures, photographed the prints, and found that many still fooled the network:
# the more carefully an attack is tuned to the exact pixels, the more of it is lost on the way. Paper and camera are simulated here.

# %%
from IPython.display import Markdown

from robustcnn import FitConfig, OptimConfig, ThreatModel, build, fit, load, score, seeded
from robustcnn.attacks import PGD, Through
from robustcnn.channel import Photo
from robustcnn.data import DataConfig, as_pixels
from robustcnn.evaluate import kurakin_attacks, photographed
from robustcnn.models import global_seed
from robustcnn.report import picture_rows

train, validation, test = load(DataConfig(name="signs", drawn=5000))
with global_seed(0):
    model = build("smallcnn", train.spec, width=0.25)
optim = OptimConfig(name="adam", lr=3e-3, schedule="cosine")
list(fit(model, train, validation, FitConfig(epochs=8, batch_size=64, optim=optim), progress=False))
print(f"test accuracy {100 * score(model, test).accuracy:.1f} %")

# %% [markdown]
# ## The way from file to photograph
# Perspective, contrast, light, colour cast, blur, a coarser sensor, its noise and a JPEG: each with a strength, and drawn anew for each picture.

# %%
pictures = as_pixels(test.images[:10])
rows = {"file": pictures}
for strength in (0.3, 0.6, 1.0):
    rows[f"strength {strength:g}"] = Photo(strength=strength)(pictures, generator=seeded(0))
picture_rows(rows)

# %% [markdown]
# ## The destruction rate
# Of the attacks that work from the file, the share that no longer does from the photograph, for the paper's three attacks.

# %%
some = test.subset(150)
lines = ["| eps | attack | right, from file | right, from photograph | destroyed |", "|---|---|---|---|---|"]
for levels in (4, 8, 16):
    threat = ThreatModel(norm="linf", eps=levels / 255)
    for name, attack in kurakin_attacks(threat.eps).items():
        found = photographed(model, some, attack, threat)
        lines.append(f"| {levels}/255 | {name} | {found.adversarial} | {found.adversarial_photo} | {found.destroyed} |")
Markdown("\n".join(lines))

# %% [markdown]
# ## An attacker who knows the way
# Expectation over transformations (Athalye et al. 2018): climb the mean gradient over several draws of the photograph.

# %%
threat = ThreatModel(norm="linf", eps=8 / 255)
for name, attack in {
    "PGD": PGD(steps=10),
    "PGD through the photograph": Through(attack=PGD(steps=10), draws=4),
}.items():
    found = photographed(model, some, attack, threat)
    print(f"{name:27} right from photograph {found.adversarial_photo}   destroyed {found.destroyed}")

# %% [markdown]
# **What it means.** A print and a camera are no defence: they weaken the attacks that lean on single grey levels, and an attacker who
# plans for them loses little. **Larger:** `python experiments/11_photo.py` prints the paper's table and ours side by side.
