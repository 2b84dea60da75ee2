# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Panda or gibbon?
#
# Goodfellow, Shlens & Szegedy (2015) added 0.007 times the sign of a gradient to the photograph of a panda, and GoogLeNet, 57.7 % sure
# of the panda before, was 99.3 % sure of a gibbon. Their picture needs ImageNet weights. With a file of them it is one command:
#
#     robustcnn attack panda.jpg --model googlenet --weights googlenet.pth --eps-range model
#
# Without any file, this notebook does the same to a **stand-in**: a small CNN, trained here in seconds on drawn road signs, and a stop
# sign that it shall take for a speed limit.

# %%
import tempfile
from dataclasses import replace
from pathlib import Path

from IPython.display import Image

from robustcnn.runs.attack_pictures import DEMO, attack_pictures

out = Path(tempfile.mkdtemp())
(found,) = attack_pictures(
    [], replace(DEMO, eps=(2 / 255, 4 / 255, 8 / 255), smallest=True, along=True, out=out), say=print
)

# %%
Image(found.figure.read_bytes())

# %% [markdown]
# The middle picture is the change, magnified. Three things to read off the lines above:
#
# 1. **The range.** Eps counts in pixels from 0 to 1 here; 1/255 is one grey level. The paper's 0.007 counts in the input range of its
#    network, where it is about one grey level. `--eps-range model` does the same; which one is meant is always said.
# 2. **The smallest eps** that suffices, found by bisection, is often less than half of what was asked for.
# 3. **Saving.** An attack that is gone once the picture is a PNG or a JPEG has attacked an array, not a picture.

# %%
for attempt in found.attempts:
    kept = ", ".join(f"{name}: {'yes' if survives else 'no'}" for name, survives in attempt.survives.items())
    print(f"eps {255 * attempt.eps:.0f}/255: {attempt.answers[0]}   still so as {kept}")
print(f"smallest eps: {255 * found.smallest:.2f}/255" if found.smallest else "no eps did it")

# %% [markdown]
# **What it means.** The network is not blind: it is sure, and wrong, within a distance at which no picture of its training set has a
# neighbour. The next notebook asks why.
#
# **Larger.** `robustcnn attack *.jpg --model resnet50 --download --attack "pgd(steps=40)" --target gibbon`, any network that torchvision
# knows, or a run of your own. `experiments/10_panda.py` prints a table beside the paper's.
