# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What is a convolution, in numbers, pictures and sound?
#
# A convolutional layer slides a small window over its input and takes the same weighted sum everywhere. How large is what comes out,
# what do single kernels do to a picture or a sound, and what are the ways to join a window into one number? Each answer is checked
# against torch or scipy.

# %%
import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import Audio, Image
from scipy import ndimage, signal, stats

from robustcnn import build, describe, load, seeded
from robustcnn.models import POOLINGS, output_size, padding_for
from robustcnn.report import picture_rows, plots

# %% [markdown]
# ## 1. Sizes
# N values, a window of K. *Valid*: only where the whole window fits, N - K + 1 places. *Same*: as many as there were. *Full*: every place
# where the two overlap at all, N + K - 1.

# %%
values, kernel = np.arange(8.0), np.array([1.0, 0.0, -1.0])
for name in ("valid", "same", "full"):
    size = output_size(len(values), len(kernel), padding=padding_for(name, len(kernel)))
    known = np.convolve(values, kernel, mode=name)
    assert size == len(known)
    print(f"{name:5}: {size:2} values   {known}")

# %% [markdown]
# With padding P, stride S and dilation D the output has floor((W + 2P - D(K - 1) - 1) / S) + 1 values. Two hundred random layers agree:

# %%
draws = seeded(0)
tried = 0
while tried < 200:
    width, window, stride, padding, dilation = (
        int(torch.randint(1, most, (), generator=draws)) for most in (30, 6, 4, 4, 4)
    )
    if width + 2 * padding < dilation * (window - 1) + 1:
        continue
    layer = torch.nn.Conv1d(1, 1, window, stride, padding, dilation)
    assert layer(torch.zeros(1, 1, width)).shape[2] == output_size(width, window, stride, padding, dilation)
    tried += 1
print(f"{tried} layers, the formula is right for all")

# %% [markdown]
# The same formula, layer by layer, for LeNet-5; `field` is how many input pixels one value depends on.

# %%
train, _, test = load("signs", drawn=600)
print(describe("lenet5", train.spec))

# %% [markdown]
# ## 2. One value by hand: three channels
# The window lies over the corner of a padded colour picture. Each channel has a kernel of its own; the three sums and the bias are added.

# %%
window = torch.tensor(
    [
        [[0, 0, 0], [0, 156, 155], [0, 153, 154]],
        [[0, 0, 0], [0, 167, 166], [0, 164, 165]],
        [[0, 0, 0], [0, 163, 162], [0, 160, 161]],
    ]
)
kernels = torch.tensor(
    [
        [[-1, -1, 1], [0, 1, -1], [0, 1, 1]],
        [[1, 0, 0], [1, -1, -1], [1, 0, -1]],
        [[0, 1, 1], [0, 1, 0], [1, -1, 1]],
    ]
)
sums = (window * kernels).sum((1, 2)).tolist()
by_torch = F.conv2d(window[None].float(), kernels[None].float(), bias=torch.tensor([1.0])).item()
print(" + ".join(map(str, sums)), "+ 1 =", sum(sums) + 1)
assert (sums, sum(sums) + 1, by_torch) == ([308, -498, 164], -25, -25.0)

# %% [markdown]
# ## 3. Edges and blur
# Fixed kernels on road signs. A CNN learns such kernels; nobody gives them to it.

# %%
grey = test.images[:8].float().mean(1, keepdim=True) / 255
kinds = {
    "edges, across": torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4,
    "edges, down": torch.tensor([[-1.0, -2, -1], [0, 0, 0], [1, 2, 1]]) / 4,
    "all edges": torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]]),
    "blur": torch.full((3, 3), 1 / 9),
    "sharpen": torch.tensor([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
}
rows = {"picture": grey}
for name, weights in kinds.items():
    found = F.conv2d(grey, weights[None, None], padding=padding_for("same", 3))
    # What a layer computes is a correlation: it does not turn the kernel round.
    known = signal.correlate2d(grey[0, 0].numpy(), weights.numpy(), mode="same")
    np.testing.assert_allclose(found[0, 0].numpy(), known, atol=1e-5)
    rows[name] = (found if name in ("blur", "sharpen") else 0.5 + found / 2).clamp(0, 1)
picture_rows(rows)

# %% [markdown]
# ## 4. An echo is a convolution too
# A kernel in time: 1 now, 0.6 a quarter of a second later, 0.35 another quarter later. The sound comes back, weaker, at these times.

# %%
rate = 8000
time = torch.arange(rate // 8) / rate
note = torch.cat([torch.sin(2 * torch.pi * pitch * time) * torch.exp(-20 * time) for pitch in (440, 554.4, 659.3)])
sound = F.pad(note, (0, rate))
echo = torch.zeros(rate // 2 + 1)
echo[[0, rate // 4, rate // 2]] = torch.tensor([1.0, 0.6, 0.35])
heard = F.conv1d(F.pad(sound, (len(echo) - 1, 0))[None, None], echo.flip(0)[None, None])[0, 0]
np.testing.assert_allclose(heard.numpy(), signal.fftconvolve(sound, echo)[: len(sound)], atol=1e-4)
Audio(heard.numpy(), rate=rate)

# %%
loudness = {name: [(number / rate, float(each[number : number + 80].abs().max())) for number in range(0, len(each), 80)]
            for name, each in {"as it was": sound, "with echo": heard}.items()}  # fmt: skip
Image(plots.png(plots.lines(loudness, across="seconds", up="loudness")))

# %% [markdown]
# ## 5. Pooling: five ways to join a window
# Max asks whether a feature is there at all, average how much of it; min, median and mode are rarer. Each is checked against numpy or scipy.

# %%
levels = (grey[:1, :, :32, :32] * 7).round()
blocks = levels[0, 0].unfold(0, 2, 2).unfold(1, 2, 2).flatten(2).numpy()
known = {
    "max": blocks.max(2),
    "average": blocks.mean(2),
    "min": blocks.min(2),
    "median": np.median(blocks, axis=2),
    "mode": stats.mode(blocks, axis=2).mode,
}
for name, pool in POOLINGS.items():
    np.testing.assert_allclose(pool(levels, 2)[0, 0].numpy(), known[name], atol=1e-6)
median = ndimage.median_filter(levels[0, 0].numpy(), size=3)[1:-1, 1:-1]
np.testing.assert_allclose(POOLINGS["median"](levels, 3, stride=1)[0, 0].numpy(), median)
picture_rows({"picture": grey, **{name: pool(grey, 4) for name, pool in POOLINGS.items()}})

# %% [markdown]
# Moved by one pixel, how much of a layer's answer changes? Less behind a pooling, which is what it is for, and never nothing.

# %%
model = build("smallcnn", train.spec, width=0.25, seed=0).eval()
one = test.images[:32].float() / 255
for depth, name in ((1, "behind the first convolution"), (2, "behind its pooling"), (5, "behind both poolings")):
    trunk = model.net[:depth]
    with torch.no_grad():
        before, after = (trunk(model.normalised(each)) for each in (one, one.roll(1, 3)))
    print(f"{name:30} {100 * ((after - before).norm() / before.norm()):.0f} % of the answer changes")

# %% [markdown]
# **What it means.** A layer is a formula for sizes and a handful of weights that are the same everywhere. `robustcnn describe --model.name
# vgg16` prints sizes, fields, parameters and multiply-adds of any network here. **Larger:** `experiments/34_why_a_cnn.py` switches
# locality, sharing and subsampling off in turn.
