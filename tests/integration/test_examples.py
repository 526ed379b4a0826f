import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(example: Path, tmp_path: Path):
    package = example.stem.removeprefix("with_")
    if package != example.stem:
        pytest.importorskip(package, reason=f"{package} is an optional extra")
    # Other people's packages warn of their own affairs.
    warned = () if package != example.stem else ("-W", "error")
    finished = subprocess.run(
        [sys.executable, *warned, str(example)],
        check=False,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout
    assert not list(tmp_path.iterdir())
