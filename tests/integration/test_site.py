"""The site builds without a warning, its notebooks run."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_the_site_builds(tmp_path: Path):
    missing = [name for name in ("sphinx", "furo", "myst_nb") if find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: pip install 'lossforge[docs]'")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", DOCS, tmp_path / "site"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-2000:]
    assert "learned" in (tmp_path / "site" / "notebooks" / "adapting.html").read_text("utf-8")


def test_every_page_is_in_the_table_of_contents():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    pages = {
        path.relative_to(DOCS).with_suffix("").as_posix()
        for path in DOCS.rglob("*.md")
        if path.name not in ("README.md", "index.md") and "_build" not in path.parts
    }
    inner = (DOCS / "api" / "index.md").read_text(encoding="utf-8")
    listed = {*index.split(), *(f"api/{name}" for name in inner.split())}
    assert pages <= listed, pages - listed
