from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robustcnn.data.registry import load
from robustcnn.data.sets.folder import read_folder

ORIENTATION = 0x0112


def picture(red: int, *, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", size, (red, 100, 50)).convert(mode)


def fill(folder: Path, count: int, *, start: int = 0) -> None:
    """Pictures 00.png, 01.png, ... whose red level is their number."""
    folder.mkdir(parents=True)
    for number in range(start, start + count):
        picture(number).save(folder / f"{number:02}.png")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """20 cats and 10 dogs, told apart by their red."""
    fill(tmp_path / "pets" / "cat", 20)
    fill(tmp_path / "pets" / "dog", 10, start=50)
    return tmp_path / "pets"


def test_folders_are_classes_and_a_fifth_of_each_tests(pets: Path) -> None:
    train, test = read_folder(pets)
    assert train.classes == ("cat", "dog")
    assert (train.counts.tolist(), test.counts.tolist()) == ([16, 8], [4, 2])
    reds = np.concatenate([part.images[:, 0, 16, 16].numpy() for part in (train, test)])
    labels = np.concatenate([part.labels.numpy() for part in (train, test)])
    assert sorted(reds.tolist()) == [*range(20), *range(50, 60)]
    assert ((reds >= 50) == labels).all()
    assert train.images.shape[1:] == (3, 32, 32)


def test_the_test_part_does_not_hang_on_the_seed(pets: Path) -> None:
    tests = {load(f"folder:{pets}", seed=seed).test.fingerprint for seed in (0, 1, 2)}
    assert len(tests) == 1


def test_train_and_test_folders_are_taken_as_they_are(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("test", 3), ("validation", 2)):
        fill(tmp_path / part / "cat", count)
        fill(tmp_path / part / "dog", count, start=50)
    train, validation, test = load(f"folder:{tmp_path}")
    assert [part.counts.tolist() for part in (train, validation, test)] == [[6, 6], [2, 2], [3, 3]]
    (tmp_path / "validation").rename(tmp_path / ".validation")
    assert [len(part) for part in read_folder(tmp_path)] == [12, 6]


def test_what_desktops_leave_behind_is_passed_over(pets: Path) -> None:
    before = [part.fingerprint for part in read_folder(pets)]
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (pets / "cat" / name).write_bytes(b"litter")
    (pets / "__MACOSX").mkdir()
    (pets / ".git").mkdir()
    (pets / "README.txt").write_text("a note beside the classes")
    assert [part.fingerprint for part in read_folder(pets)] == before


def one(pets: Path, image: Image.Image, **options: object) -> np.ndarray:
    """The pixels (C, H, W) to which a single picture is read."""
    for folder in ("train/a", "train/b", "test/a", "test/b"):
        (pets / folder).mkdir(parents=True, exist_ok=True)
        image.save(pets / folder / "x.png", exif=image.getexif())
    return load(f"folder:{pets}", validation=0.5, **options).train.images[0].numpy()


def halves(width: int, height: int) -> Image.Image:
    """Black on the left, white on the right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, width // 2 :] = 255
    return Image.fromarray(pixels)


def test_crop_keeps_the_middle_and_squash_the_whole(tmp_path: Path) -> None:
    stripes = np.full((10, 30, 3), 255, np.uint8)
    stripes[:, 10:20] = 0
    assert one(tmp_path, Image.fromarray(stripes), size=10).max() == 0
    squashed = one(tmp_path, Image.fromarray(stripes), size=30, framing="squash")
    assert np.array_equal(squashed[0, 15] < 128, np.repeat([False, True, False], 10))


def test_a_camera_held_sideways_is_put_upright(tmp_path: Path) -> None:
    sideways = halves(32, 32)
    sideways.getexif()[ORIENTATION] = 6  # to be turned clockwise: what was left comes to the top
    pixels = one(tmp_path, sideways)
    assert pixels[:, :15].max() == 0
    assert pixels[:, 17:].min() == 255


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "RGB"])
def test_any_kind_of_picture_becomes_rgb(tmp_path: Path, mode: str) -> None:
    image = halves(32, 32).convert(mode)
    pixels = one(tmp_path, image)
    assert pixels.shape == (3, 32, 32)
    assert pixels[:, :, :15].max() == 0
    assert pixels[:, :, 17:].min() == 255


def test_transparent_parts_become_white(tmp_path: Path) -> None:
    assert one(tmp_path, Image.new("RGBA", (8, 8), (200, 0, 0, 0))).min() == 255


def test_a_large_jpeg_keeps_its_picture(tmp_path: Path) -> None:
    for name in ("a", "b"):
        fill(tmp_path / name, 4)
        halves(1600, 1200).save(tmp_path / name / "big.jpg")
    train, test = read_folder(tmp_path)
    big = next(image for part in (train, test) for image in part.images if image[0, 0, -1] > 200)
    assert big[:, :, :15].max() < 10
    assert big[:, :, 17:].min() > 245


def test_grey_is_as_bright_as_the_colours_looked(tmp_path: Path) -> None:
    pixels = one(tmp_path, Image.new("RGB", (8, 8), (200, 100, 50)), grey=True)
    assert pixels.shape == (1, 32, 32)
    assert np.unique(pixels).tolist() == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]


@pytest.mark.parametrize("content", [b"no picture", b"", b"\x89PNG\r\n\x1a\n and then nothing"])
def test_what_is_no_picture_is_named(pets: Path, content: bytes) -> None:
    path = pets / "dog" / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path}: not a picture that Pillow can read \(.+\); remove or mend it"):
        read_folder(pets)


def test_a_picture_cut_short_is_named(pets: Path) -> None:
    path = pets / "cat" / "cut.jpg"
    halves(300, 300).save(path)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ValueError, match=rf"{path}: not a picture that Pillow can read \(.*truncated"):
        read_folder(pets)


def test_a_folder_within_a_class_is_named(pets: Path) -> None:
    (pets / "cat" / "kittens").mkdir()
    with pytest.raises(ValueError, match="cat/kittens: not a picture"):
        read_folder(pets)


def test_an_empty_class_is_named(pets: Path) -> None:
    (pets / "bird").mkdir()
    (pets / "bird" / ".DS_Store").touch()
    with pytest.raises(ValueError, match=f"{pets}/bird: no pictures there; add some or remove the folder"):
        read_folder(pets)


def test_fewer_than_two_classes_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 3)
    with pytest.raises(ValueError, match=f"{tmp_path} must hold one folder a class, at least 2, found cat"):
        read_folder(tmp_path)


def test_a_folder_too_high_is_guessed(pets: Path) -> None:
    with pytest.raises(ValueError, match=rf"at least 2, found pets \(did you mean folder:{pets}\?\)"):
        read_folder(pets.parent)


def test_train_and_test_must_have_the_same_classes(tmp_path: Path) -> None:
    for folder in ("train/cat", "train/dog", "test/cat", "test/bird"):
        fill(tmp_path / folder, 2)
    with pytest.raises(ValueError, match=r"test and .*/train must have the same classes; only one has bird, dog"):
        read_folder(tmp_path)


def test_a_file_is_not_a_folder_and_an_absent_one_is_named(pets: Path) -> None:
    with pytest.raises(ValueError, match=r"00.png must be a folder with one folder a class, found a file"):
        load(f"folder:{pets}/cat/00.png")
    with pytest.raises(FileNotFoundError, match=f"{pets}/nowhere is absent; check the spelling"):
        load(f"folder:{pets}/nowhere")
