"""The famous figure shows the pictures that it is given, and lines show the numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robustcnn.evaluate.one_picture import Answer
from robustcnn.report import plots

CLEAN = torch.full((3, 6, 6), 0.5)
CHANGE = 0.01 * torch.where(torch.arange(36).view(1, 6, 6) % 2 == 0, 1.0, -1.0).expand(3, -1, -1)


def answers(*pairs: tuple[int, float]) -> list[Answer]:
    return [Answer(name=f"class ${index}", index=index, confidence=share) for index, share in pairs]


def shown(*, after: int = 1) -> plots.Equation:
    return plots.Equation(
        clean=CLEAN,
        adversarial=CLEAN + CHANGE,
        before=answers((0, 0.577), (1, 0.3)),
        after=answers((after, 0.993), (2, 0.004)),
        factor="0.007",
        change="sign(gradient)",
        survives={"PNG": True, "JPEG 75": False},
        says="a word",
    )


def words(figure: plots.Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in (*axes.texts, axes.title)]


def test_the_pictures_are_clean_change_at_full_contrast_and_adversarial() -> None:
    drawn = [axes.images[0].get_array() for axes in plots.equation(shown()).axes if axes.images]
    for image, expected in zip(drawn, (CLEAN, 0.5 + CHANGE / 0.02, CLEAN + CHANGE), strict=True):
        np.testing.assert_allclose(image, expected.permute(1, 2, 0), atol=1e-6)


def test_it_tells_answers_confidences_the_factor_and_what_saving_leaves() -> None:
    said = words(plots.equation(shown()))
    for part in ("class $0\n57.7%", "class $1\n99.3%", "+ 0.007 ×", "=", "PNG", "yes", "JPEG 75", "no", "30.0%"):
        assert part in said
    assert any("at most 2.55/255 a pixel" in part for part in said)


def test_bars_are_as_long_as_the_confidences() -> None:
    widths = [bar.get_width() for axes in plots.equation(shown()).axes for bar in axes.patches]
    assert widths == [0.577, 0.3, 0.993, 0.004]


def test_a_picture_that_was_not_changed_can_be_drawn_and_is_not_called_broken() -> None:
    figure = plots.equation(shown(after=0))
    titles = {axes.title.get_color() for axes in figure.axes if "class $0" in axes.title.get_text()}
    assert len(titles) == 1
    assert plots.png(figure).startswith(b"\x89PNG")


def test_logit_lines_go_through_the_logits_and_name_the_winners() -> None:
    eps = (-0.01, 0.0, 0.01)
    logits = torch.tensor([[3.0, 1.0, 0.0, -1.0], [2.0, 1.0, 0.0, -1.0], [0.0, 1.0, 2.0, -1.0]])
    (axes,) = plots.logits_along(logits, eps, ("a", "b", "c", "d"), 0).axes
    lines = {line.get_label(): line for line in axes.lines}
    assert {"a", "c"} <= set(lines)
    assert not {"b", "d"} & set(lines)
    assert list(lines["a"].get_ydata()) == [3.0, 2.0, 0.0]
    assert list(lines["c"].get_xdata()) == pytest.approx([-2.55, 0, 2.55])


def test_error_lines_go_through_the_errors() -> None:
    (axes,) = plots.error_along({"m": (0.1, 0.9)}, (0.0, 0.1)).axes
    assert list(axes.lines[0].get_ydata()) == [0.1, 0.9]
