"""Pictures before and after an attack."""

from __future__ import annotations

from matplotlib.figure import Figure

from robustcnn.report.gallery import Gallery
from robustcnn.report.plots.canvas import ATTACKED, CLEAN, INK, page, short, styled

INCHES, APART, BELOW = 1.3, 0.1, 0.42
"""Width of a picture; and in such widths: what lies between pictures, and what their captions need."""


@styled
def gallery(pictures: Gallery) -> Figure:
    """A row an example: clean, the change (grey is none), adversarial, with the model's answers."""
    factor = pictures.amplification
    changes = (0.5 + factor * (pictures.adversarial - pictures.clean)).clamp(0, 1)
    high = pictures.clean.shape[2] / pictures.clean.shape[3]
    row, column = high + BELOW, 1 + APART
    # All in one pane: one for each picture takes four times as long to draw.
    figure, pane = page(INCHES * 3 * column + 0.4, INCHES * row * len(pictures) + 0.4)
    for place, (head, images) in enumerate(
        (("clean", pictures.clean), (f"change × {factor:g}", changes), (pictures.threat, pictures.adversarial))
    ):
        left = place * column
        pane.text(left + 0.5, 0.05, head, ha="center", va="bottom", color=INK)
        for number, image in enumerate(images):
            bottom = -number * row - high
            grey = image.permute(1, 2, 0).squeeze(2).numpy()
            pane.imshow(grey, cmap="gray", vmin=0, vmax=1, extent=(left, left + 1, bottom, bottom + high))
    for number, (truth, before, after) in enumerate(zip(pictures.truth, pictures.before, pictures.after, strict=True)):
        bottom = -number * row - high
        pane.text(-0.05, bottom + high / 2, short(truth), ha="right", va="center", rotation=90, color=INK)
        for left, (answer, confidence) in ((0.0, before), (2 * column, after)):
            pane.text(
                left + 0.5,
                bottom - 0.04,
                f"{short(answer)}\n{confidence:.1%}",
                ha="center",
                va="top",
                color=CLEAN if answer == truth else ATTACKED,
            )
    pane.set(xlim=(-0.2, 3 * column), ylim=(-len(pictures) * row, 0.25))
    pane.set_axis_off()
    return figure
