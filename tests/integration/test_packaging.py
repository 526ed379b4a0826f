"""What is built: a wheel of the sources alone, which works where nothing else of this tree is."""

import os
import subprocess
import sys
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import lossforge

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "lossforge"
OUTSIDE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
"""the environment without a path to the sources"""


def run(*words: str | Path, cwd: Path, timeout: int = 600) -> str:
    """Run a command that cannot see the sources, and return its output."""
    finished = subprocess.run(
        [str(word) for word in words],
        check=False,
        cwd=cwd,
        env=OUTSIDE,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def build(target: str, folder: Path) -> Path:
    pytest.importorskip("hatchling", reason="the build backend is not installed")
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", folder, cwd=ROOT)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    sources = {
        path.relative_to(SOURCE.parent).as_posix()
        for path in SOURCE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    about = f"lossforge-{lossforge.__version__}.dist-info"
    names = ("METADATA", "WHEEL", "entry_points.txt", "RECORD", "licenses/LICENSE")
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == sources | {f"{about}/{name}" for name in names}


def test_the_metadata_say_what_is_needed(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["Version"] == lossforge.__version__
    needed = [line for line in metadata.get_all("Requires-Dist") or [] if "extra ==" not in line]
    assert "torch>=2.11" in needed
    assert not [line for line in needed if "<" in line or "==" in line]
    assert "lossforge learns the loss function" in metadata.get_payload()


def test_the_source_archive_holds_what_its_tests_need(tmp_path):
    archive = build("sdist", tmp_path)
    folder = tmp_path / "unpacked"
    run(sys.executable, "-m", "tarfile", "-e", archive, folder, cwd=tmp_path)
    (root,) = folder.iterdir()
    wanted = ("constraints.txt", "ARCHITECTURE.md", ".ci/run", "docs", "examples", "benchmarks")
    assert not [name for name in wanted if not (root / name).exists()]
    tests = {path.name for path in (ROOT / "tests").rglob("*.py")}
    assert {path.name for path in (root / "tests").rglob("*.py")} == tests
    assert not list(root.glob("benchmarks/results/*.json"))


@pytest.mark.slow
def test_the_wheel_runs_the_first_command_of_the_readme(wheel, tmp_path):
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True, system_site_packages=False)
    bin_ = environment / ("Scripts" if os.name == "nt" else "bin")
    python = bin_ / "python"
    pip = [python, "-m", "pip"]
    run(*pip, "install", "-q", "-c", ROOT / "constraints.txt", wheel, cwd=tmp_path, timeout=1200)
    installed = run(*pip, "list", "--format=freeze", cwd=tmp_path).lower()
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    (torch,) = (line for line in constraints if line.startswith("torch=="))
    assert torch in installed  # a local build of that version, such as +cpu, counts
    for optional in ("pandas", "pyarrow", "datasets", "matplotlib", "pillow", "pytest"):
        assert f"\n{optional}==" not in f"\n{installed}"

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = next(line for line in readme.splitlines() if line.startswith("lossforge search"))
    told = run(bin_ / "lossforge", *command.split()[1:], cwd=tmp_path, timeout=1800)
    assert "learned loss:" in told
    assert list(tmp_path.glob("runs/*/result.json"))

    run(*pip, "install", "-q", "twine", cwd=tmp_path, timeout=600)
    assert "PASSED" in run(python, "-m", "twine", "check", "--strict", wheel, cwd=tmp_path)
