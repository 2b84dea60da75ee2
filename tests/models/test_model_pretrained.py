"""torchvision's classifiers: the same function on pixels, and a clear word on every file that will not do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision import models as torchvision_models

from robustcnn.core.runtime import global_seed
from robustcnn.models import pretrained as room
from robustcnn.models.pretrained import find_weights, is_published, network, pretrained, published
from robustcnn.models.weights_file import read_weights

NAME, FILE = "squeezenet1_1", "squeezenet1_1-b8a52dc0.pth"
SMALL = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Random weights of a SqueezeNet."""
    with global_seed(0):
        return network(NAME).state_dict()


@pytest.fixture
def weights(tmp_path: Path, state: dict[str, Tensor]) -> Path:
    torch.save(state, tmp_path / "mine.pth")
    return tmp_path / "mine.pth"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torchvision's."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_pixels_go_in_and_the_logits_of_torchvisions_own_pipeline_come_out(
    weights: Path, state: dict[str, Tensor]
) -> None:
    ours = pretrained(NAME, weights=weights)
    theirs = torchvision_models.squeezenet1_1(weights=None).eval()
    theirs.load_state_dict(state)
    mean, std = (torch.tensor(each)[:, None, None] for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(ours(SMALL), theirs((SMALL - mean) / std))
    assert not any(module.training for module in ours.modules())
    assert ours.spec.shape == (3, 224, 224)
    assert [ours.spec.classes[index] for index in (388, 368)] == ["giant panda", "gibbon"]


@pytest.mark.slow
def test_googlenet_sees_pixels_in_minus_1_to_1_as_its_published_form_does() -> None:
    options = {"weights": None, "aux_logits": False, "init_weights": False}
    with global_seed(0):
        theirs = torchvision_models.googlenet(transform_input=True, **options).eval()
    ours = network("googlenet").eval()
    ours.load_state_dict(theirs.state_dict())
    mean, std = (torch.tensor(each)[:, None, None] for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    spec = published("googlenet")[0].spec
    assert spec.mean == spec.std == (0.5, 0.5, 0.5)
    torch.testing.assert_close(ours((SMALL - 0.5) / 0.5), theirs((SMALL - mean) / std), rtol=1e-4, atol=1e-4)


def test_auxiliary_heads_in_a_file_are_passed_over(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save(state | {"aux1.fc1.weight": torch.zeros(2)}, tmp_path / "x.pth")
    pretrained(NAME, weights=tmp_path / "x.pth")


def test_safetensors_will_do_too(tmp_path: Path, weights: Path, state: dict[str, Tensor]) -> None:
    save_file(state, tmp_path / "x.safetensors")
    found = read_weights(tmp_path / "x.safetensors")
    assert all(torch.equal(found[name], value) for name, value in read_weights(weights).items())


def test_the_callers_random_numbers_stay_as_they_were(weights: Path) -> None:
    before = torch.get_rng_state()
    pretrained(NAME, weights=weights)
    assert torch.equal(torch.get_rng_state(), before)


def test_nothing_is_fetched_unless_asked_for(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_: pytest.fail("went to the network"))
    with pytest.raises(FileNotFoundError) as caught:
        pretrained(NAME)
    for part in (FILE, str(cache), "TORCH_HOME", "--download", "--weights FILE", "https://"):
        assert part in str(caught.value)


def test_what_is_asked_for_is_fetched_into_the_cache(
    cache: Path, monkeypatch: pytest.MonkeyPatch, state: dict[str, Tensor]
) -> None:
    unnamed = replace(published(NAME)[0], url="https://example.org/any.pth")
    monkeypatch.setattr(room, "published", lambda _: (unnamed,))
    asked = []

    def fetch(url: str, place: str, digest: str | None) -> None:
        asked.append((url, digest))
        torch.save(state, place)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    first = pretrained(NAME, download=True)
    assert asked == [("https://example.org/any.pth", None)]
    assert torch.equal(pretrained(NAME)(SMALL), first(SMALL))
    assert find_weights(NAME) == (unnamed, cache / "any.pth")


def test_a_failed_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(ConnectionError, match=r"could not be downloaded \(no route\); check the network, or bring"):
        pretrained(NAME, download=True)


def test_a_file_with_another_digest_than_its_name_says_is_refused(cache: Path, state: dict[str, Tensor]) -> None:
    cache.mkdir(parents=True)
    torch.save(state, cache / FILE)
    with pytest.raises(ValueError, match=r"its sha256 must start with b8a52dc0, as its name says, but starts with"):
        pretrained(NAME)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "page": (lambda path: path.write_text("\n<!DOCTYPE html><html>404</html>"), "is a web page, not weights"),
    "bare page": (lambda path: path.write_text("<html><body>404</body></html>"), "is a web page, not weights"),
    "xml": (lambda path: path.write_text('<?xml version="1.0"?><Error/>'), "is a web page, not weights"),
    "pointer": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"), "is a Git LFS pointer"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "cut": (_cut, "cannot be read as weights; it is cut short or of another kind"),
    "text": (lambda path: path.write_text("weights"), "cannot be read as weights"),
    "code": (lambda path: torch.save(Path("/tmp"), path), "cannot be read as weights"),
    "list": (lambda path: torch.save([1, 2], path), r"must hold a state dict \(names and tensors\), got list"),
    "nested": (
        lambda path: torch.save({"epoch": 3, "state_dict": {}}, path),
        r"got a dictionary with epoch, state_dict \(pass its state dict alone\)",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_file_that_is_no_weights_says_what_it_is(weights: Path, how: str) -> None:
    spoil, says = BROKEN[how]
    spoil(weights)
    with pytest.raises(ValueError, match=rf"{weights}.* ?{says}"):
        pretrained(NAME, weights=weights)


def test_weights_of_another_network_are_explained(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / "x.pth"
    torch.save({f"net.{name}": value for name, value in state.items()}, path)
    with pytest.raises(ValueError, match=r"does not fit squeezenet1_1: it lacks \d+ tensors .* weights of another"):
        pretrained(NAME, weights=path)
    torch.save(state | {"classifier.1.weight": torch.zeros(10, 512, 1, 1)}, path)
    with pytest.raises(ValueError, match=r"classifier.1.weight is \(10, 512, 1, 1\), must be \(1000, 512, 1, 1\)"):
        pretrained(NAME, weights=path)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        pretrained(NAME, weights=tmp_path / "absent.pth")


def test_names_are_torchvisions_own() -> None:
    assert is_published("googlenet")
    assert is_published("torchvision:resnet50")
    assert not is_published("lenet5")
    with pytest.raises(ValueError, match=r"torchvision has no ImageNet classifier 'googlnet' \(did you mean googlenet"):
        pretrained("googlnet")


def test_of_several_published_weights_the_file_named_decides_how_pictures_are_cut(tmp_path: Path) -> None:
    newest, oldest = published("resnet50")
    assert (newest.resize, oldest.resize) == (232, 256)
    (tmp_path / oldest.file).touch()
    assert find_weights("resnet50", weights=tmp_path / oldest.file)[0] == oldest
    assert all(each.spec.num_classes == 1000 for each in published("vgg16"))


def test_a_network_for_other_classes_has_as_many_logits() -> None:
    assert network(NAME, classes=7).eval()(SMALL).shape == (1, 7)
