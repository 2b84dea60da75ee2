"""Synthetic sounds."""

from __future__ import annotations

import pytest
import torch

from robustcnn.data.sets.sounds import RATE, SOUNDS, draw_sounds


def test_a_tone_has_one_peak_a_chord_three_and_noise_none() -> None:
    sounds = draw_sounds(300, noise=0.0, seed=2)
    power = torch.fft.rfft(sounds.waves * torch.hann_window(sounds.waves.shape[1])).abs().square()
    share = power.sort(dim=1, descending=True).values.cumsum(1) / power.sum(1, keepdim=True)
    few = share[:, 11]
    assert (few[sounds.labels == SOUNDS.index("tone")] > 0.99).all()
    assert (few[sounds.labels == SOUNDS.index("chord")] > 0.95).all()
    assert (few[sounds.labels == SOUNDS.index("noise")] < 0.2).all()
    tones = power[sounds.labels == SOUNDS.index("tone")].argmax(1) * RATE / sounds.waves.shape[1]
    assert tones.min() >= 195
    assert tones.max() <= 1605


def test_waves_stay_in_range_and_a_seed_fixes_them() -> None:
    first, again = draw_sounds(20, seed=1), draw_sounds(20, seed=1)
    assert torch.equal(first.waves, again.waves)
    assert first.waves.abs().max() <= 1


def test_too_short_a_sound_is_refused() -> None:
    with pytest.raises(ValueError, match=r"seconds at least 0\.032"):
        draw_sounds(3, seconds=0.01)
