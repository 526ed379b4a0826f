"""Public names load on use, and importing the package loads nothing that is slow."""

import ast
import inspect
import subprocess
import sys

import pytest

import lossforge

SLOW = ("cmaes", "datasets", "matplotlib", "pandas", "pyarrow", "scipy", "sklearn", "sympy")


def loaded_after(code: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter holds after `code`."""
    code = f"{code}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    finished = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return set(finished.stdout.splitlines()[-1].split())


def test_the_package_alone_does_not_load_torch():
    assert loaded_after("import lossforge") & {"torch", "numpy", *SLOW} == set()


def test_the_public_names_load_torch_and_nothing_slow_beside():
    loaded = loaded_after("from lossforge import *")
    assert "torch" in loaded
    assert loaded & set(SLOW) == set()


def test_a_task_of_scikit_learn_loads_nothing_that_it_does_not_need():
    # scikit-learn itself loads pandas and pyarrow where they are installed.
    loaded = loaded_after("import lossforge; lossforge.tasks.load('digits')")
    assert "sklearn" in loaded
    assert loaded & {"datasets", "matplotlib", "sympy"} == set()


def test_the_names_are_those_that_type_checkers_see():
    (block,) = (
        node
        for node in ast.parse(inspect.getsource(lossforge)).body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    )
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        seen |= {alias.name: node.module for alias in node.names}
    loaded = dict.fromkeys(lossforge._PACKAGES, "lossforge") | lossforge._MODULE_OF
    assert seen == loaded
    names = {*lossforge.__all__, *lossforge._NOT_BY_STAR} - {"LossforgeError"}
    assert sorted(loaded) == sorted(names)


@pytest.mark.parametrize("name", sorted({*lossforge.__all__, *lossforge._NOT_BY_STAR}))
def test_every_public_name_is_there_and_listed(name):
    assert getattr(lossforge, name) is getattr(lossforge, name)
    assert name in dir(lossforge)


def test_a_package_of_the_same_name_does_not_hide_a_public_function(tmp_path):
    (tmp_path / "load.py").write_text("number = 7\n")
    code = f"""
import lossforge
lossforge.__path__.append({str(tmp_path)!r})
import lossforge.load
from lossforge.load import number
assert number == 7
assert lossforge.load.__module__ == "lossforge.losses.storage", lossforge.load
"""
    loaded_after(code)


def test_packages_that_are_public_themselves_are_modules():
    code = "import lossforge.losses, types\nassert isinstance(lossforge.losses, types.ModuleType)"
    loaded_after(code)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="EvoMal"):
        _ = lossforge.EvoMal  # type: ignore[attr-defined]
