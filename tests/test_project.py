"""The project's own files: one version, constraints for every dependency, and what warnings are."""

import re
import tomllib
import warnings
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]


def test_the_version_has_one_source():
    assert "version" in PROJECT["dynamic"]
    assert "version" not in PROJECT
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "src/lossforge/__init__.py"
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert not re.search(r"^version:", citation, re.MULTILINE)


def test_every_dependency_is_constrained():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower().splitlines()
    pinned = {line.split("==")[0] for line in lines if "==" in line}
    needed = chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    names = {re.split(r"[<>=\[ ]", line)[0].lower() for line in needed}
    assert names - {"lossforge"} <= pinned


def test_no_dependency_has_an_upper_bound():
    needed = chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    assert [line for line in needed if "<" in line or "==" in line] == []


@pytest.mark.parametrize("category", [DeprecationWarning, FutureWarning, UserWarning])
def test_the_notice_of_torch_is_no_error_whatever_its_class(category):
    warnings.warn("`torch.jit.script` is deprecated. Please use something else.", category, 1)


def test_other_warnings_are_errors():
    with pytest.raises(DeprecationWarning):
        warnings.warn("something else is deprecated", DeprecationWarning, 1)
