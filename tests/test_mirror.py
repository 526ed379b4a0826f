"""Every module that holds logic has its tests at the same path."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE, TESTS = ROOT / "src" / "lossforge", ROOT / "tests"

WITHOUT: dict[str, str] = {
    "experiments/benchmark_cell.py": "test_benchmark_run.py carries cells out",
}
"""modules that hold logic and need no tests of their own, each with the reason"""


def holds_logic(tree: ast.AST) -> bool:
    """Tell whether a function has a body: more than a docstring, and more than ``...``."""
    return any(_statements(node) for node in ast.walk(tree) if isinstance(node, FUNCTIONS))


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _statements(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    """Return what a function does, without what only says what it is for."""
    return [
        statement
        for statement in function.body
        if not (isinstance(statement, ast.Pass))
        and not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
    ]


def mirrored(module: Path) -> Path:
    """Return where a module's tests stand; those of a package's ``__init__`` in ``test_init``."""
    inside = module.relative_to(SOURCE)
    name = "init" if inside.stem == "__init__" else inside.stem.strip("_")
    return TESTS / inside.parent / f"test_{name}.py"


def modules_with_logic() -> Iterator[Path]:
    for path in sorted(SOURCE.rglob("*.py")):
        if holds_logic(ast.parse(path.read_text(encoding="utf-8"))):
            yield path


def name_of(module: Path) -> str:
    return module.relative_to(SOURCE).as_posix()


def test_every_module_with_logic_has_its_tests():
    missing = {name_of(path) for path in modules_with_logic() if not mirrored(path).is_file()}
    assert missing - set(WITHOUT) == set()


def test_no_exception_outlives_its_reason():
    known = {name_of(path) for path in modules_with_logic() if not mirrored(path).is_file()}
    assert set(WITHOUT) <= known
    assert all(WITHOUT.values())


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("X = 3", False),
        ("from a import b as b", False),
        ("class A:\n    x: int = 3", False),
        ('class A:\n    def f(self):\n        """Say what it is for."""', False),
        ("class A:\n    def f(self): ...", False),
        ("def f():\n    return 3", True),
        ("class A:\n    def f(self):\n        self.x = 3", True),
        ("async def f():\n    await g()", True),
    ],
)
def test_logic_is_told_from_data(code, expected):
    assert holds_logic(ast.parse(code)) is expected


def test_private_and_package_modules_have_a_place():
    assert mirrored(SOURCE / "cli" / "__init__.py") == TESTS / "cli" / "test_init.py"
    assert mirrored(SOURCE / "files.py") == TESTS / "test_files.py"
