"""`robustcnn attack`: files in, figures, pictures and numbers out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from onlooker import linear
from PIL import Image

from robustcnn.cli.main import main
from robustcnn.models.pretrained import network
from robustcnn.runs.attack_pictures import AttackVerb, attack_pictures, pictures
from robustcnn.runs.attack_pictures.stand_in import LIMIT, STOP
from robustcnn.runs.attack_pictures.subject import class_index

LINEAR = ["--model", "onlooker:linear"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), (153, 153, 153)).save(tmp_path / "photo.jpg", quality=100)
    return tmp_path / "photo.jpg"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["attack", *arguments]) == 0
    return capsys.readouterr().out


def test_an_attack_leaves_a_figure_a_picture_and_its_numbers(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, str(photo), *LINEAR, "--eps", "0.3", "--out", "out", "--smallest", "--along")
    assert "x sign(gradient) = dark" in told
    assert "the model's own answer" in told
    assert "pixels, from 0 to 1" in told
    record = json.loads(Path("out/photo.json").read_text())
    assert record["clean"][0]["name"] == "bright"
    assert record["attempts"][0]["reached"] is True
    assert 0 < record["smallest"] < 0.3
    assert record["options"]["eps"] == [0.3]
    with Image.open("out/photo.eps-0.3.png") as saved:
        change = np.asarray(saved).astype(int) - 153
    assert saved.size == (8, 8)
    assert set(np.abs(change).flatten().tolist()) <= {76, 77}
    for figure in ("photo.figure.png", "photo.along.png"):
        with Image.open(Path("out") / figure) as drawn:
            assert min(drawn.size) > 400


def test_several_eps_are_a_sweep_with_a_row_each(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, str(photo), *LINEAR, "--eps", "8/255", "1/255", "0.3", "--out", "out")
    rows = [line.split() for line in told.splitlines() if "/255" in line and " x " not in line]
    assert [row[0] for row in rows] == ["1/255", "8/255", "0.3"]
    reached = [each["reached"] for each in json.loads(Path("out/photo.json").read_text())["attempts"]]
    assert reached == sorted(reached)
    assert len(list(Path("out").glob("*.eps-*.png"))) == 3


def test_the_models_range_is_told_and_is_what_eps_counts_in(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, str(photo), *LINEAR, "--eps", "0.5", "--eps-range", "model", "--out", "out")
    assert "the model's own input range, [-2.5, 2.5]" in told
    assert f"{255 * 0.5 * 0.3:.2f}/255" in told
    length = json.loads(Path("out/photo.json").read_text())["attempts"][0]["length"]
    assert length == pytest.approx(0.5 * 0.4, rel=1e-4)


def test_a_target_and_a_label_go_by_name(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--attack", "pgd(steps=10)", "--target", "red", "--label", "Bright", "--eps", "0.5"]
    told = run(capsys, str(photo), *LINEAR, *chosen, "--out", "out")
    assert "pgd's change = reddish" in told
    assert "attacked: bright, as told" in told


def test_a_model_that_is_wrong_before_any_attack_is_said_to_be(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, str(photo), *LINEAR, "--label", "dark", "--out", "out")
    assert "before any attack the model says bright: there is nothing to break" in told


def test_pictures_of_one_name_do_not_overwrite_each_other(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "more").mkdir()
    other = tmp_path / "more" / "photo.png"
    Image.new("L", (9, 9), 180).save(other)
    run(capsys, str(photo), str(other), *LINEAR, "--out", "out")
    assert {path.name for path in Path("out").glob("*.json")} == {"photo-1.json", "photo-2.json"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "attack wants the files of pictures before the options, got none"),
        (["photo.jpg"], "no weights for googlenet: googlenet-1378be20.pth is not in"),
        (["absent.jpg", *LINEAR], "absent.jpg: there is no such picture"),
        (["photo.jpg", "--model", "googlnet"], "googlnet"),
        (["photo.jpg", "--model", "resnet18", "--weights", "no.pth"], "weights no.pth: there is no such file"),
        (["photo.jpg", *LINEAR, "--weights", "no.pth"], "weights belong to a torchvision classifier"),
        (["photo.jpg", *LINEAR, "--target", "brihgt"], "--target brihgt: the model has no class of that name (did you"),
        (["photo.jpg", *LINEAR, "--target", "bright"], "target must be another class than the one attacked, 'bright'"),
        (["photo.jpg", *LINEAR, "--target", "3"], "--target 3: the model's classes are 0..2"),
        (["photo.jpg", *LINEAR, "--eps", "8"], "eps must lie in [0, 1] for linf, got 8 (did you mean 8 / 255?)"),
        (["photo.jpg", *LINEAR, "--eps", "0"], "eps must be a positive number, got 0"),
        (["photo.jpg", *LINEAR, "--norm", "l2"], "eps has no usual value for one picture in l2"),
        (["photo.jpg", *LINEAR, "--attack", "fgms"], "unknown attack 'fgms' (did you mean 'fgsm'?)"),
    ],
)
def test_a_mistake_is_one_line_with_the_cure(
    photo: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["attack", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert said in told


def test_a_class_is_found_by_name_by_part_of_it_and_by_index() -> None:
    classes = ("lesser panda", "giant panda", "crane", "crane bird", "gibbon")
    found = {text: class_index(text, classes, option="target") for text in ("GIBBON", "giant", "crane", "3")}
    assert found == {"GIBBON": 4, "giant": 1, "crane": 2, "3": 3}
    with pytest.raises(ValueError, match=r"several classes are called so: lesser panda \(0\), giant panda \(1\)"):
        class_index("panda", classes, option="target")


def test_a_model_that_tells_nothing_gets_numbered_classes_and_no_range_of_its_own(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import torch\ndef net(): return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(75, 4))\n"
    (tmp_path / "nameless_net.py").write_text(source)
    model = ["--model", "nameless_net:net"]
    assert "class " in run(capsys, str(photo), *model, "--size", "5", "--out", "out")
    assert main(["attack", str(photo), *model, "--size", "6"]) == 2
    assert "does not take pictures of 3 x 6 x 6" in capsys.readouterr().err
    assert main(["attack", str(photo), *model, "--size", "5", "--eps-range", "model"]) == 2
    assert "does not tell how it normalises (use pixels)" in capsys.readouterr().err


def test_the_stand_in_brings_its_own_picture(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "stand_in", lambda **_: (linear(), torch.full((1, 3, 8, 8), 0.6)))
    told = run(capsys, "--demo", "--target", "dark", "--label", "bright", "--eps", "0.3", "--out", "out")
    assert f"{STOP}.png: bright" in told
    assert Path("out/stop.figure.png").is_file()


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attack", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for part in ("robustcnn attack IMAGE...", "--demo", "--eps-range {pixels,model}", "--smallest", "torchvision"):
        assert part in told


@pytest.mark.slow
def test_the_demonstration_turns_a_stop_sign_into_a_speed_limit(capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, "--demo", "--out", "out")
    assert "no ImageNet network" in told
    assert f"= {LIMIT}" in told


@pytest.mark.slow
def test_the_command_works_as_a_process_with_a_file_of_weights(photo: Path, tmp_path: Path) -> None:
    torch.save(network("squeezenet1_1").state_dict(), tmp_path / "mine.pth")
    command = [sys.executable, "-m", "robustcnn", "attack", str(photo), "--model", "squeezenet1_1"]
    options = ["--weights", "mine.pth", "--out", "out"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "squeezenet1_1: 1,000 classes, pictures of 3 x 224 x 224" in done.stdout
    assert Path("out/photo.figure.png").is_file()
    failed = subprocess.run([*command, "--weights", "photo.jpg"], capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert "Traceback" not in failed.stderr
    assert "cannot be read as weights" in failed.stderr


@pytest.mark.data
@pytest.mark.slow
def test_an_unseen_change_makes_squeezenet_name_another_thing_on_every_photograph(
    real_data: Path, tmp_path: Path
) -> None:
    folder = real_data / "imagenet"
    if not folder.is_dir():
        pytest.skip(f"no ImageNet network in {folder}")
    weights = folder / "squeezenet1_0_torchvision.pth"
    config = AttackVerb(model="squeezenet1_0", weights=weights, out=tmp_path / "out")
    done = attack_pictures([folder / f"{name}.jpg" for name in ("dog", "cat", "pizza", "shuttle")], config)
    assert [each.clean[0].name for each in done] == ["beagle", "tabby", "pizza", "space shuttle"]
    assert all(each.attempts[0].reached and each.attempts[0].survives["PNG"] for each in done)


@pytest.mark.parametrize(
    "paths",
    [
        ["a/x.png", "b/x.png", "c/x-1.png"],
        ["c/x-1.png", "c/x-2.png", "a/x.png", "b/x.png"],
        ["a/x.png", "b/x.PNG", "c/X.png", "d/x-3.png", "e/x-4.jpg"],
    ],
)
def test_no_picture_overwrites_what_became_of_another(paths: list[str]) -> None:
    stems = pictures._stems(paths)
    assert list(stems) == paths
    assert len({stem.casefold() for stem in stems.values()}) == len(paths)
    assert pictures._stems(["a/x.png", "b/y.png"]) == {"a/x.png": "x", "b/y.png": "y"}
