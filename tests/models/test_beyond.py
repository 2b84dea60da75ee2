"""Networks whose input is no picture to classify."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from robustcnn import PGD, ThreatModel
from robustcnn.models.beyond import (
    AnyPoint,
    Embedded,
    Spectrogram,
    TextCNN,
    WithinTolerance,
    audio_cnn,
    go_cnn,
    keypoint_cnn,
)


def test_the_spectrogram_is_that_of_torch() -> None:
    waves = torch.randn(2, 2000)
    known = torch.stft(waves, 256, 128, window=torch.hann_window(256), center=False, return_complex=True)
    torch.testing.assert_close(
        Spectrogram()(waves)[:, 0], (known.abs().square() + 1e-4).log() / 4, atol=1e-4, rtol=1e-4
    )


def test_every_network_gives_what_it_should() -> None:
    assert audio_cnn(4).eval()(torch.randn(2, 4000)).shape == (2, 4)
    assert go_cnn()(torch.zeros(2, 3, 19, 19)).shape == go_cnn(pooling=True)(torch.zeros(2, 3, 19, 19)).shape
    assert keypoint_cnn(hidden=10)(torch.zeros(2, 1, 96, 96)).shape == (2, 30)


def test_a_board_is_as_its_most_suspicious_stone() -> None:
    scores = torch.tensor([[[3.0, -1.0], [-2.0, -5.0]]])
    stones = torch.tensor([[[False, True], [True, True]]])
    points = nn.Identity()
    assert AnyPoint(points)(scores).tolist() == [[0.0, 3.0]]
    assert AnyPoint(points, stones)(scores).tolist() == [[0.0, -1.0]]


def test_a_text_network_is_its_two_halves() -> None:
    net, characters = TextCNN(20, 3).eval(), torch.randint(20, (4, 12))
    torch.testing.assert_close(net(characters), Embedded(net)(net.embed(characters)))
    assert net.embed(characters).abs().max() <= 1


def test_pgd_pushes_a_linear_regression_as_far_as_the_ball_lets_it() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    images = torch.full((3, 1, 2, 2), 0.5)
    with torch.no_grad():
        said = net(images)
    judge = WithinTolerance(net, said, tolerance=1e-4)
    moved = PGD(steps=20)(judge, images, torch.zeros(3, dtype=torch.int64), ThreatModel(eps=0.1))
    with torch.no_grad():
        far = (net(moved) - said).abs().flatten()
    torch.testing.assert_close(far, torch.full((3,), 0.1 * net[1].weight.abs().sum().item()))
    assert (judge(moved).argmax(1) == 1).all()


def test_other_examples_than_those_whose_targets_are_known_are_refused() -> None:
    judge = WithinTolerance(nn.Linear(2, 2), torch.zeros(5, 2), tolerance=0.1)
    with pytest.raises(ValueError, match="the 5 examples whose targets are known, got 3"):
        judge(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="tolerance must be a positive number"):
        WithinTolerance(nn.Linear(2, 2), torch.zeros(5, 2), tolerance=0)


def test_the_margin_of_a_regression_is_its_error_beyond_the_tolerance() -> None:
    targets = torch.tensor([[1.0, 0.0]])
    logits = WithinTolerance(nn.Identity(), targets, tolerance=0.5)(torch.tensor([[1.0, 2.0]]))
    expected = F.mse_loss(torch.tensor([1.0, 2.0]), targets[0]).sqrt() - 0.5
    assert (logits[0, 1] - logits[0, 0]).item() == pytest.approx(expected.item())
