"""What is handed out: a wheel and a source distribution that say what they are and work where they are put."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest

import robustcnn

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=550, check=False, env=os.environ | environment
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network: everything that building needs is installed here."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, cwd=ROOT)
    return folder


def test_no_older_library_is_allowed_than_was_tried() -> None:
    """The table of versions says of one row that its versions are the oldest."""
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Versions tried")[1]
    heads, _, *rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]
    (oldest,) = (row for row in rows if "the oldest allowed" in row[1])
    tried = {head.strip().lower(): cell.split()[0] for head, cell in zip(heads, oldest, strict=True)}
    floors = dict(line.split(",")[0].split(">=") for line in PROJECT["dependencies"])
    for name in ("torch", "mlflow", "scikit-learn"):
        assert f"{tried[name]}.".startswith(f"{floors[name]}."), name


def test_a_system_without_sigkill_can_import_what_starts_servers() -> None:
    code = "import signal; del signal.SIGKILL; import robustcnn.tracking.server as s; print(len(s.ENDING))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "2"


@pytest.mark.slow
def test_both_distributions_pass_twines_check(distributions: Path) -> None:
    files = [str(path) for path in distributions.iterdir()]
    assert len(files) == 2
    assert run(sys.executable, "-m", "twine", "check", "--strict", *files, cwd=ROOT).count("PASSED") == 2


@pytest.mark.slow
def test_the_wheel_is_typed_and_holds_the_package_alone(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "robustcnn/py.typed" in names
    assert {name.partition("/")[0] for name in names} == {"robustcnn", f"robustcnn-{robustcnn.__version__}.dist-info"}
    for path in (ROOT / "robustcnn").rglob("*.py"):
        assert path.relative_to(ROOT).as_posix() in names


@pytest.mark.slow
def test_the_installed_wheel_runs_the_demo_in_small(distributions: Path, tmp_path: Path) -> None:
    """In an environment of its own, which sees the libraries that are installed here and not this checkout."""
    (wheel,) = distributions.glob("*.whl")
    venv.create(tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    install = ("install", "--quiet", "--no-deps", "--no-index", wheel)
    run(sys.executable, "-m", "pip", "--python", python, *install, cwd=tmp_path)
    # Behind the environment's own, so that the wheel is what is imported.
    libraries = sysconfig.get_paths()["purelib"]
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=tmp_path).strip())
    (own / "libraries.pth").write_text(f"import sys; sys.path.append({libraries!r})\n")
    clean = {"PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    where = run(python, "-c", "import robustcnn; print(robustcnn.__file__)", cwd=tmp_path, **clean)
    assert where.startswith(str(own))
    told = run(tmp_path / "env" / "bin" / "robustcnn", "demo", "--epochs", "1", "--count", "4", cwd=tmp_path, **clean)
    assert "dcgan-initialised" in told
    assert (tmp_path / "mlruns" / "comparison" / "report.html").is_file()


def test_the_version_is_the_same_wherever_it_is_written() -> None:
    assert f"version: {robustcnn.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## {robustcnn.__version__} (" in (ROOT / "CHANGELOG.md").read_text()


def test_extras_are_the_promised_ones() -> None:
    assert {"dask", "sweep", "onnx", "timm", "docs", "dev"} <= set(PROJECT["optional-dependencies"])
    assert requires("robustcnn"), "installed, so that its metadata can be read"


def test_the_workflow_calls_verbs_that_make_has() -> None:
    lines = (ROOT / ".github/workflows/ci.yml").read_text().splitlines()
    told = [line.split("make ")[1].split()[0] for line in lines if "run: make " in line]
    verbs = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text().splitlines()}
    assert {"check", "test", "docs", "wheel"} <= set(told) <= verbs


def test_importing_robustcnn_takes_less_than_a_fifth_of_a_second() -> None:
    code = "import time; start = time.process_time(); import robustcnn; print(time.process_time() - start)"
    seconds = min(float(run(sys.executable, "-c", code, cwd=ROOT)) for _ in range(3))
    assert seconds < 0.2, f"{seconds:.3f} s of CPU time"
