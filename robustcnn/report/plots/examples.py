"""Pictures before and after an attack."""

from __future__ import annotations

from matplotlib.figure import Figure

from robustcnn.report.gallery import Gallery
from robustcnn.report.plots.canvas import ATTACKED, CLEAN, grid, short, styled


@styled
def gallery(pictures: Gallery) -> Figure:
    """A row an example: clean, the change (grey is none), adversarial, with the model's answers."""
    figure, panes = grid(4.9, 0.5 + 1.75 * len(pictures), rows=len(pictures), columns=3)
    factor = pictures.amplification
    changes = (0.5 + factor * (pictures.adversarial - pictures.clean)).clamp(0, 1)
    for column, images in enumerate((pictures.clean, changes, pictures.adversarial)):
        for pane, image in zip(panes[:, column], images, strict=True):
            pane.imshow(image.permute(1, 2, 0).squeeze(2).numpy(), cmap="gray", vmin=0, vmax=1)
            pane.set(xticks=[], yticks=[])
            pane.spines[:].set_visible(False)
    for pane, head in zip(panes[0], ("clean", f"change × {factor:g}", pictures.threat), strict=True):
        pane.set_title(head, loc="center")
    for row, truth, before, after in zip(panes, pictures.truth, pictures.before, pictures.after, strict=True):
        row[0].set_ylabel(short(truth))
        for pane, (answer, confidence) in ((row[0], before), (row[2], after)):
            pane.set_xlabel(f"{short(answer)}\n{confidence:.1%}", color=CLEAN if answer == truth else ATTACKED)
    return figure
