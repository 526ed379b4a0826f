"""A package imports only from the layers above it, and no module takes part in a cycle."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "lossforge"

LAYERS = (
    *("errors", "validation", "extras", "allocator", "randomness", "files", "tensor_files"),
    *("specs", "progress"),
    *("tasks", "models", "losses", "training", "searching", "methods", "runs"),
    *("analysis", "report", "experiments", "zoo", "integrations", "cli", "__main__"),
)
"""from the bottom: a layer may import from those before it"""

TOP = "lossforge"
MAY_IMPORT_TOP = LAYERS[LAYERS.index("experiments") :]
"""layers that may import the version and the public names from the package itself"""


def name_of(path: Path) -> str:
    parts = (TOP, *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(SOURCE.rglob("*.py"))}


def run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run as a module loads: none in functions or for type checkers."""
    for child in ast.iter_child_nodes(node):
        is_for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if not (is_for_types or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield child
            yield from run_on_import(child)


def imported(nodes: Iterable[ast.AST], known: set[str]) -> Iterator[str]:
    """Yield the modules of lossforge that nodes import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == TOP)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their package in full"
            if node.module and node.module.split(".")[0] == TOP:
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    yield full if full in known else node.module


def layer_of(module: str) -> str:
    """Return the layer of a module; the package itself is named as such."""
    return module.split(".")[1] if "." in module else TOP


def imports_of_all(nodes_of: Callable[[ast.AST], Iterable[ast.AST]]) -> dict[str, set[str]]:
    """Return what each module imports, looking at some nodes of its tree."""
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
    return {name: set(imported(nodes_of(tree), set(MODULES))) for name, tree in trees.items()}


def backward(imports: dict[str, set[str]]) -> list[str]:
    """Return the imports that go against the layers."""
    found = []
    for module, targets in imports.items():
        own = layer_of(module)
        for target in sorted(targets):
            layer = layer_of(target)
            if own in (TOP, layer):
                continue
            if layer == TOP:
                is_allowed = own in MAY_IMPORT_TOP
            else:
                is_allowed = LAYERS.index(layer) < LAYERS.index(own)
            if not is_allowed:
                found.append(f"{module} imports {target}")
    return found


def test_every_package_has_its_layer():
    assert {layer_of(module) for module in MODULES} - {TOP} == set(LAYERS)


def test_imports_go_one_way():
    assert backward(imports_of_all(ast.walk)) == []


def test_no_modules_import_one_another():
    sorter = TopologicalSorter(imports_of_all(run_on_import))
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(f"an import cycle: {' -> '.join(error.args[1])}")


def test_the_document_lists_the_layers():
    document = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| `(\w+)` \|", document, re.MULTILINE)) == LAYERS


@pytest.mark.parametrize(
    ("module", "target", "is_backward"),
    [
        ("lossforge.losses.neural", "lossforge.training.network", True),
        ("lossforge.training.network", "lossforge.losses.neural", False),
        ("lossforge.errors", "lossforge.validation", True),
        ("lossforge.methods.ml3", "lossforge", True),
        ("lossforge.cli.search", "lossforge", False),
        ("lossforge", "lossforge.cli", False),
    ],
)
def test_a_backward_import_would_be_seen(module, target, is_backward):
    assert bool(backward({module: {target}})) is is_backward


@pytest.mark.parametrize(
    ("code", "runs_on_import"),
    [
        ("from lossforge.losses import load", True),
        ("import lossforge.losses", True),
        ("class A:\n    import lossforge.losses", True),
        ("def f():\n    from lossforge.losses import load", False),
        ("if TYPE_CHECKING:\n    from lossforge.losses import Loss", False),
    ],
)
def test_every_import_is_seen_and_those_that_run_at_once_are_told_apart(code, runs_on_import):
    tree = ast.parse(code)
    known = {"lossforge.losses"}
    assert set(imported(ast.walk(tree), known)) == known
    assert set(imported(run_on_import(tree), known)) == (known if runs_on_import else set())
