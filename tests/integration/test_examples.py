import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
FORMS = sorted(path for path in (FOLDER / "task_forms").glob("*.py") if path.stem != "protocol")
NEEDS_FILES = {"language_model", "several_outputs", "tokens"}


def said_by(words: list[str], folder: Path) -> str:
    """Return what a script prints in a folder, where it ends well and leaves nothing behind."""
    finished = subprocess.run(
        [sys.executable, *words],
        check=False,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    assert not list(folder.iterdir())
    return finished.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(example: Path, tmp_path: Path):
    package = example.stem.removeprefix("with_")
    if package != example.stem:
        pytest.importorskip(package, reason=f"{package} is an optional extra")
    # Other people's packages warn of their own affairs.
    warned = () if package != example.stem else ("-W", "error")
    said = said_by([*warned, str(example)], tmp_path)
    assert said


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_every_form_of_a_task_is_searched_on(form: Path, tmp_path: Path):
    if form.stem in NEEDS_FILES and "LOSSFORGE_DATA" not in os.environ:
        pytest.skip("real data are missing: set LOSSFORGE_DATA to the folder that holds them")
    if form.stem == "tokens":
        pytest.importorskip("transformers", reason="transformers is an optional extra")
    said = said_by([str(form), "--quick"], tmp_path)
    assert "learned loss: " in said
    assert "at learning rates chosen on validation data" in said
