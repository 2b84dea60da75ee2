"""A run's folder: its name, its record, and the commit it was made by."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import robustcnn
from robustcnn.runs.folder import made_up, provenance
from robustcnn.runs.pretrain_config import PRETRAINING, PretrainConfig
from robustcnn.runs.train_config import TRAINING, TrainConfig


@pytest.mark.parametrize("name", ["..", ".", " ", "\t", "a\nb", "a/b", "a\\b", "\x1b[2J", "../x", "/x"])
@pytest.mark.parametrize("kind", [TrainConfig, PretrainConfig])
def test_a_name_that_is_no_folders_is_refused(kind: type[TrainConfig | PretrainConfig], name: str) -> None:
    with pytest.raises(ValueError, match="name must be a plain folder name, got "):
        kind(name=name)


RECORDS = ["[]", "null", "{}", '{"config": []}', '{"config": {"nme": 1}}', "[" * 9999, "{", ""]


@pytest.mark.parametrize("content", RECORDS)
def test_a_record_that_is_none_is_one_line_that_names_it(tmp_path: Path, content: str) -> None:
    for kind in (TRAINING, PRETRAINING):
        path = tmp_path / kind.record
        path.write_text(content)
        with pytest.raises(ValueError, match=kind.record) as found:
            kind.read_config(tmp_path)
        assert str(path) in str(found.value)
        assert "\n" not in str(found.value)


def test_a_made_up_name_is_a_folders(tmp_path: Path) -> None:
    assert (tmp_path / TrainConfig(name=made_up("npz:some/where/my.npz", "lenet5")).name).parent == tmp_path


def test_the_commit_is_that_of_the_source_tree_or_none(tmp_path: Path) -> None:
    assert provenance()["commit"] != ""
    house = Path(robustcnn.__file__).parent
    other = tmp_path / "other"
    shutil.copytree(house, other / "venv" / "robustcnn", ignore=shutil.ignore_patterns("__pycache__"))
    commit = ["-c", "user.name=a", "-c", "user.email=b", "commit", "-q", "--allow-empty", "-m", "x"]
    for command in (["init", "-q"], commit):
        subprocess.run(["git", *command], cwd=other, check=True)
    code = "from robustcnn.runs.folder import _commit; print(_commit())"
    path = {"PYTHONPATH": str(other / "venv"), "PATH": "/usr/bin:/bin"}
    told = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, env=path, text=True)
    assert told.strip() == "unknown"
