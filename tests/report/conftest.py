"""Runs that the tests of pages share."""

import os
import shutil
from pathlib import Path

import pytest

from report.runs_of_every_kind import make_run


class Runs:
    """A folder of complete runs, each carried out when it is first asked for.

    The processes of one test session share it: which of two is first does not matter.
    """

    def __init__(self, folder: Path, own: Path):
        self.folder, self.own = folder, own

    def __truediv__(self, kind: str) -> Path:
        target = self.folder / kind
        if not target.is_dir():
            make_run(kind, self.own)
            self.folder.mkdir(exist_ok=True)
            try:
                (self.own / kind).rename(target)
            except OSError:  # another process was faster
                shutil.rmtree(self.own / kind)
        return target


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Complete runs by kind, with their pages."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return Runs(shared / "runs of every kind", tmp_path_factory.mktemp("runs"))
