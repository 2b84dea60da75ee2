"""The signs: the same from the same seed, of every kind, kept on disk without risk."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
import torch

from robustcnn.data.sets import image_cache
from robustcnn.data.signs import road_signs as signs
from robustcnn.data.signs.road_signs import SIGNS, draw, front_view, load_signs

SKEWED = [5.0, 0.0, 1.0, *[2.0] * 9]


@pytest.mark.parametrize(("count", "size"), [(150, 32), (12, 47), (10, 128)])
def test_the_same_seed_draws_the_same_bytes_and_another_seed_others(count: int, size: int) -> None:
    images, labels = draw(count, size=size, seed=3)
    again, same = draw(count, size=size, seed=3)
    other, _ = draw(count, size=size, seed=4)
    assert images.shape == (count, 3, size, size)
    assert torch.equal(images, again)
    assert torch.equal(labels, same)
    assert not (images == other).flatten(1).all(1).any()


def test_threads_do_not_change_the_pictures() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one, _ = draw(200)
        torch.set_num_threads(2)
        two, _ = draw(200)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one, two)


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    draw(12)
    assert torch.equal(before, torch.get_rng_state())


def test_no_two_pictures_are_the_same() -> None:
    images, _ = draw(300)
    assert len(images.flatten(1).unique(dim=0)) == 300


@pytest.mark.parametrize("count", [12, 100, 240])
def test_labels_are_balanced_to_within_one_and_shuffled(count: int) -> None:
    _, labels = draw(count)
    counts = torch.bincount(labels, minlength=len(SIGNS))
    assert counts.min() == count // 12
    assert counts.max() == math.ceil(count / 12)
    assert not torch.equal(labels, labels.sort().values)


def test_weights_are_the_exact_shares() -> None:
    _, labels = draw(240, weights=SKEWED)
    assert torch.bincount(labels, minlength=12).tolist() == [50, 0, 10, *[20] * 9]


def test_a_picture_shows_its_own_sign() -> None:
    # Averaged over many scenes, light and places cancel out: what stays is the sign's own colours and shape.
    images, labels = draw(1200, seed=1)
    later, answers = draw(1200, seed=2)
    means = torch.stack([images[labels == kind].float().mean(0) for kind in range(12)])
    others = torch.stack([later[answers == kind].float().mean(0) for kind in range(12)])
    nearest = torch.cdist(others.flatten(1), means.flatten(1)).argmin(1)
    # The speed limits differ in their digits alone, which an average does not keep.
    plain = [kind for kind, name in enumerate(SIGNS) if "limit" not in name]
    assert nearest[plain].tolist() == plain
    assert {SIGNS[kind][:11] for kind in nearest.tolist() if kind not in plain} == {"speed limit"}


def test_the_speed_limits_differ_from_each_other_only_inside_the_ring() -> None:
    size = 96
    views = [front_view(f"speed limit {limit}", size=size)[0] for limit in (30, 45, 60, 80)]
    y, x = torch.meshgrid(*[(torch.arange(size) * 2 + 1) / size - 1] * 2, indexing="ij")
    inside = x.hypot(y) < 0.72
    for other in views[1:]:
        assert torch.equal(views[0][:, ~inside], other[:, ~inside])
        assert (views[0] - other).abs().amax(0)[inside].gt(0.5).float().mean() > 0.01


@pytest.mark.parametrize("name", SIGNS)
def test_the_mask_of_a_front_view_is_where_the_sign_is(name: str) -> None:
    picture, mask = front_view(name, size=64)
    assert picture.shape == (3, 64, 64)
    assert mask.shape == (1, 64, 64)
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert (picture[:, mask[0] == 0] == signs.NEUTRAL).all()
    covered = mask[0] == 1
    assert (picture[:, covered] - signs.NEUTRAL).abs().amax(0).gt(0.1).float().mean() > 0.95
    edges = (mask[0] > 0).nonzero()
    assert (edges.amax(0) - edges.amin(0)).max() >= 0.88 * 64
    assert 0.3 < mask.mean() < 0.95


def test_a_front_view_may_be_written_into() -> None:
    picture, mask = front_view("stop")
    picture.zero_(), mask.zero_()
    assert front_view("stop")[1].sum() > 0
    assert front_view("stop")[0].sum() > 0


def test_train_and_test_share_the_spec_but_no_picture() -> None:
    train, test = load_signs(None, train=120, test=60)
    assert (len(train), len(test)) == (120, 60)
    assert train.spec is test.spec
    assert train.classes == SIGNS
    assert train.spec.mean == pytest.approx((train.images / 255).mean((0, 2, 3)).tolist(), abs=1e-5)
    both = torch.cat([train.images, test.images]).flatten(1)
    assert len(both.unique(dim=0)) == 180


def test_one_seeds_test_pictures_are_not_the_next_seeds_training_pictures() -> None:
    _, test = load_signs(None, train=24, test=24, seed=0)
    train, _ = load_signs(None, train=24, test=24, seed=1)
    assert not torch.equal(test.images, train.images)


def test_the_second_time_comes_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_signs(tmp_path, train=24, test=12, weights=SKEWED)
    monkeypatch.setattr(signs, "draw", lambda *_, **__: pytest.fail("drawn again"))
    second = load_signs(tmp_path, train=24, test=12, weights=SKEWED)
    assert [part.fingerprint for part in first] == [part.fingerprint for part in second]
    assert {path.suffix for path in (tmp_path / "signs").iterdir()} == {".npz"}


@pytest.mark.parametrize("other", [{"seed": 1}, {"size": 40}, {"weights": SKEWED}, {"train": 25}])
def test_another_question_does_not_get_the_cached_answer(tmp_path: Path, other: dict[str, object]) -> None:
    load_signs(tmp_path, train=24, test=12)
    asked = {"train": 24, "test": 12, **other}
    train, _ = load_signs(tmp_path, **asked)  # type: ignore[arg-type]
    fresh, _ = load_signs(None, **asked)  # type: ignore[arg-type]
    assert train.fingerprint == fresh.fingerprint


def test_an_older_drawing_in_the_cache_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_signs(tmp_path, train=24, test=12)
    monkeypatch.setattr(signs, "DRAWING", signs.DRAWING + 1)
    load_signs(tmp_path, train=24, test=12)
    assert len(list((tmp_path / "signs").iterdir())) == 4


@pytest.mark.parametrize("damage", ["empty", "short", "flipped", "text", "folder"])
def test_a_damaged_cache_is_redrawn_without_a_word(tmp_path: Path, damage: str) -> None:
    whole, _ = load_signs(tmp_path, train=24, test=12)
    path = next((tmp_path / "signs").glob("*-24-*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    broken = {"empty": b"", "short": content[: len(content) // 2], "flipped": bytes(content), "text": b"<html>"}
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        path.write_bytes(broken[damage])
    train, _ = load_signs(tmp_path, train=24, test=12)
    assert train.fingerprint == whole.fingerprint


@pytest.mark.parametrize(("images", "labels"), [((24, 3, 8, 8), 12), ((23, 3, 8, 8), 0), ((24, 3, 8, 9), 0)])
def test_a_cache_of_other_shapes_or_classes_is_not_believed(
    tmp_path: Path, images: tuple[int, ...], labels: int
) -> None:
    image_cache.write(tmp_path / "a.npz", torch.zeros(images, dtype=torch.uint8), torch.full((images[0],), labels))
    assert image_cache.read(tmp_path / "a.npz", shape=(24, 3, 8, 8), classes=12) is None


def test_a_root_that_cannot_be_written_only_means_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    train, _ = load_signs(tmp_path / "file", train=24, test=12)
    assert len(train) == 24


@pytest.mark.slow
def test_a_thousand_signs_a_second_on_one_thread() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        draw(200)
        rates = []
        for _ in range(3):
            start = time.process_time()
            draw(2000)
            rates.append(2000 / (time.process_time() - start))
    finally:
        torch.set_num_threads(threads)
    assert max(rates) > 1000


@pytest.mark.parametrize("size", [31, 129])
def test_a_size_out_of_range_says_the_range(size: int) -> None:
    for call in (
        lambda: draw(1, size=size),
        lambda: front_view("stop", size=size),
        lambda: load_signs(None, size=size),
    ):
        with pytest.raises(ValueError, match=r"size must lie in 32..128 pixels"):
            call()


def test_no_pictures_is_an_error() -> None:
    with pytest.raises(ValueError, match="count must be at least 1 picture, got 0"):
        load_signs(None, train=12, test=0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], "weights must be one a sign .12: stop, yield.*, got 2"),
        ([0.0] * 12, "not all 0"),
        ([-1.0, *[1.0] * 11], "not negative"),
        ([math.nan, *[1.0] * 11], "finite"),
    ],
)
def test_bad_weights_say_what_is_wrong(weights: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(12, weights=weights)


def test_an_unknown_sign_is_answered_with_its_neighbours() -> None:
    with pytest.raises(ValueError, match=r"unknown sign 'speed-limit-45' .did you mean 'speed limit 45'.*known: stop"):
        front_view("speed-limit-45")
