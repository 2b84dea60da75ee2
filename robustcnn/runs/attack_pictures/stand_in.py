"""A small network for who has no ImageNet weights: trained on the spot on the embedded road signs."""

from __future__ import annotations

from torch import Tensor

from robustcnn.core.runtime import global_seed
from robustcnn.data.resident import as_pixels
from robustcnn.data.signs.road_signs import load_signs
from robustcnn.evaluate import predict
from robustcnn.models import PixelModel, build
from robustcnn.runs.folder import Say
from robustcnn.train import FitConfig, OptimConfig, fit

NAME = "stand-in"
STOP, LIMIT = "stop", "speed limit 45"
SIZE, TRAIN, TEST, EPOCHS = 48, 1800, 240, 4
SURE = 0.9


def stand_in(*, say: Say) -> tuple[PixelModel, Tensor]:
    """The network, and of the unseen stop signs (1, 3, H, W) that it is sure of the one most like a speed limit."""
    say(f"{NAME}: no ImageNet network, but a small CNN trained now on {TRAIN:,} drawn road signs ({EPOCHS} epochs)")
    train, test = load_signs(None, size=SIZE, train=TRAIN, test=TEST)
    with global_seed(0):
        model = build("smallcnn", train.spec, width=0.25)
    optim = OptimConfig(name="adam", lr=5e-3, schedule="one-cycle")
    for epoch in fit(model, train, test, FitConfig(epochs=EPOCHS, batch_size=64, optim=optim, watch=0)):
        say(f"  epoch {epoch.epoch}: {epoch.valid_accuracy:.1%} right on unseen signs")
    logits = predict(model, test)
    stop, limit = test.classes.index(STOP), test.classes.index(LIMIT)
    sure = (test.labels == stop) & (logits.softmax(1)[:, stop] > SURE)
    likeness = (logits[:, limit] - logits[:, stop]).masked_fill(~sure, -1000)
    return model, as_pixels(test.images[likeness.argmax()][None])
