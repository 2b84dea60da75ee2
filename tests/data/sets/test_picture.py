"""Picture files of every kind come out upright, in RGB, on white; what cannot is told with its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from robustcnn.data.sets import picture
from robustcnn.data.sets.picture import framed, read_picture, through_jpeg, to_picture, to_tensor

ORIENTATION = 0x0112


def read(path: Path) -> np.ndarray:
    return np.asarray(read_picture(path, around=64))


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def ramp(kind: type) -> np.ndarray:
    """From black to white over 16 pixels of 16 bits."""
    return np.tile(np.linspace(0, 65535, 16), (4, 1)).round().astype(kind)


@pytest.mark.parametrize(
    ("mode", "colour", "name", "expected"),
    [
        ("RGB", (10, 20, 30), "x.png", (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), "x.png", (255, 255, 255)),
        ("RGBA", (0, 0, 0, 128), "x.png", (127, 127, 127)),
        ("LA", (0, 0), "x.png", (255, 255, 255)),
        ("L", 77, "x.png", (77, 77, 77)),
        ("L", 77, "x.jpg", (77, 77, 77)),
        ("1", 1, "x.png", (255, 255, 255)),
        ("CMYK", (0, 255, 255, 0), "x.jpg", (255, 0, 0)),
        ("CMYK", (0, 255, 255, 0), "x.tif", (255, 0, 0)),
        ("YCbCr", (100, 128, 128), "x.jpg", (100, 100, 100)),
    ],
)
def test_every_mode_becomes_rgb_on_white(
    tmp_path: Path, mode: str, colour: int | tuple[int, ...], name: str, expected: tuple[int, ...]
) -> None:
    pixels = read(saved(Image.new(mode, (16, 16), colour), tmp_path / name))
    assert pixels.shape == (16, 16, 3)
    assert np.abs(pixels[8, 8].astype(int) - expected).max() <= 2


def test_of_an_animation_the_first_frame_counts(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour).quantize(4) for colour in ((255, 0, 0), (0, 0, 255))]
    path = saved(frames[0], tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert read(path)[4, 4].tolist() == [255, 0, 0]


def test_a_palettes_transparent_colour_is_white(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), (0, 255, 0)).quantize(4)
    path = saved(image, tmp_path / "x.png", transparency=image.getpixel((0, 0)))
    assert read(path)[4, 4].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("kind", "name"), [(np.uint16, "x.png"), (np.uint16, "x.tif"), (np.int32, "x.tif")])
def test_sixteen_bits_are_scaled_not_cut_off(tmp_path: Path, kind: type, name: str) -> None:
    path = saved(Image.fromarray(ramp(kind)), tmp_path / name)
    assert read(path)[0, :, 0].tolist() == [round(255 * place / 15) for place in range(16)]


def test_floats_in_0_to_1_are_read_and_others_refused(tmp_path: Path) -> None:
    levels = (ramp(np.uint16) / 65535).astype(np.float32)
    assert read(saved(Image.fromarray(levels), tmp_path / "x.tif"))[0, -1].tolist() == [255] * 3
    path = saved(Image.fromarray(3 * levels), tmp_path / "y.tif")
    with pytest.raises(ValueError, match=r"y\.tif: not a picture .*levels must lie in 0\.\.1, got 0 to 3"):
        read(path)


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_a_turned_camera_is_turned_back(tmp_path: Path, name: str) -> None:
    image = Image.fromarray(np.tile(np.linspace(0, 255, 32).astype(np.uint8), (16, 1)))
    exif = image.getexif()
    exif[ORIENTATION] = 6
    pixels = read(saved(image, tmp_path / name, exif=exif))
    assert pixels.shape == (32, 16, 3)
    assert pixels[0].max() < 20
    assert pixels[-1].min() > 235


def test_sixteen_bits_are_turned_too(tmp_path: Path) -> None:
    image = Image.fromarray(ramp(np.uint16))
    exif = image.getexif()
    exif[ORIENTATION] = 6
    assert read(saved(image, tmp_path / "x.png", exif=exif))[:, 0, 0].tolist() == [17 * place for place in range(16)]


def test_what_is_no_picture_is_named_with_the_reason(tmp_path: Path) -> None:
    whole = saved(Image.new("RGB", (64, 64), "red"), tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "page.jpg").write_text("<html>not found</html>")
    (tmp_path / "empty.png").touch()
    for name in ("cut.png", "page.jpg", "empty.png"):
        with pytest.raises(ValueError, match=rf"{name}: not a picture that Pillow can read \(.+\); remove or mend it"):
            read(tmp_path / name)
    with pytest.raises(ValueError, match="not a picture but a folder"):
        read(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"absent\.png: there is no such picture"):
        read(tmp_path / "absent.png")


def test_bombs_and_huge_files_are_refused_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(Image.new("1", (400, 300)), tmp_path / "x.png")
    monkeypatch.setattr(picture, "MOST_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"x\.png: .*its 120,000 pixels are more than the 1,000 that are read"):
        read(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(ValueError, match=r"x\.png: .*decompression bomb"):
        read(path)
    monkeypatch.setattr(picture, "MOST_BYTES", 50)
    with pytest.raises(ValueError, match=r"x\.png: .*MiB that are read"):
        read(path)


def test_a_rim_is_what_cutting_the_middle_out_of_a_larger_picture_leaves_away() -> None:
    stripes = np.zeros((256, 512, 3), np.uint8)
    stripes[16:-16, 144:-144] = 255
    cut = np.asarray(framed(Image.fromarray(stripes), 224, "crop", rim=(1 - 224 / 256) / 2))
    assert cut.shape == (224, 224, 3)
    assert cut.min() == 255
    assert np.asarray(framed(Image.fromarray(stripes), (20, 10), "squash")).shape == (10, 20, 3)


def test_tensors_and_pictures_are_two_forms_of_the_same() -> None:
    for channels in (1, 3):
        levels = torch.randint(0, 256, (1, channels, 5, 7), generator=torch.Generator().manual_seed(0))
        assert torch.equal(to_tensor(to_picture(levels[0] / 255), channels=channels), levels / 255)
        assert through_jpeg(levels / 255, 90).shape == levels.shape
