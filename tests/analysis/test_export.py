"""Exported files are executed and compared with the loss itself."""

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
import sympy
import torch

from lossforge.analysis.export import export
from lossforge.errors import ConfigurationError, UnknownNameError
from lossforge.losses import HANDCRAFTED, NeuralLoss, SparseLSR, SymbolicLoss
from lossforge.losses.expression import PRIMITIVES, Expression, grow_tree


def executed(text: str, folder: Path) -> ModuleType:
    path = folder / f"exported_{abs(hash(text))}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def losses() -> list[SymbolicLoss]:
    one_each = [Expression((name, *("y", "p")[2 - p.arity :])) for name, p in PRIMITIVES.items()]
    trees = one_each + [grow_tree(5, Random(seed), 2) for seed in range(200)]
    found = []
    for index, tree in enumerate(trees):
        generator = torch.Generator().manual_seed(index)
        weights = 1 + 0.2 * torch.randn(tree.size, generator=generator, dtype=torch.float64)
        kind = "regression" if index % 2 else "classification"
        loss = SymbolicLoss(tree, weights, kind=kind, softplus=index % 3 == 0)
        found.append(loss)
    return found


def test_torch_files_give_the_same_values_and_gradients(tmp_path):
    generator = torch.Generator().manual_seed(0)
    for loss in losses():
        module = executed(export(loss, "torch", "a test"), tmp_path)
        outputs = torch.randn(6, 3, generator=generator, dtype=torch.float64).requires_grad_()
        if loss.kind.name == "classification":
            targets = torch.randint(3, (6,), generator=generator)
        else:
            targets = torch.randn(6, 3, generator=generator, dtype=torch.float64)
        for reduction in ("mean", "sum", "none"):
            loss.reduction = reduction
            ours, theirs = loss(outputs, targets), module.loss(outputs, targets, reduction)
            # Above 20, PyTorch's softplus leaves out what the export's does not: 2e-9 at 20.
            close = {"rtol": 1e-9 if loss.softplus else 1e-12, "atol": 1e-14}
            torch.testing.assert_close(theirs, ours, **close, equal_nan=True)
        if ours.requires_grad:
            slopes = [
                torch.autograd.grad(value.sum(), outputs, materialize_grads=True)[0]
                for value in (ours, theirs)
            ]
            torch.testing.assert_close(*slopes, rtol=1e-10, atol=1e-12, equal_nan=True)


def test_python_and_sympy_files_give_the_same_values(tmp_path):
    y, p = 0.7, 0.31
    for loss in losses()[:60]:
        ours = loss.elementwise(
            torch.tensor([[y]], dtype=torch.float64), torch.tensor([[p]], dtype=torch.float64)
        ).item()
        python = executed(export(loss, "python", "a test"), tmp_path)
        assert python.loss(y, p) == pytest.approx(ours, rel=1e-9, abs=1e-12)
        symbolic = executed(export(loss, "sympy", "a test"), tmp_path)
        value = sympy.sympify(symbolic.loss).subs({symbolic.y: y, symbolic.p: p}).evalf()
        assert float(value) == pytest.approx(ours, rel=1e-9, abs=1e-12)


every_handcrafted = pytest.mark.parametrize(
    "make", HANDCRAFTED.values(), ids=lambda make: make.name
)


def handcrafted_pairs(kind: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Outputs and targets of every sort that a loss takes."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    positions = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    one = torch.randn(6, 1, generator=generator, dtype=torch.float64)
    if kind == "regression":
        return [
            (outputs, outputs.flip(0)),
            (positions, positions.flip(0)),
            (one, one[:, 0].flip(0)),
        ]
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    shares = torch.rand(6, 3, generator=generator, dtype=torch.float64).softmax(1)
    return [
        (outputs, labels),
        (outputs, shares),
        (50 * outputs, labels),
        (positions, torch.tensor([[0, 1, 2, 0], [2, 1, 1, 0]])),
        (one, labels % 2),
        (one, torch.rand(6, 1, generator=generator, dtype=torch.float64)),
    ]


@every_handcrafted
def test_handcrafted_losses_are_exported_to_torch(make, tmp_path):
    loss = make()
    module = executed(export(loss, "torch", "a test"), tmp_path)
    for outputs, targets in handcrafted_pairs(loss.kind.name):
        leaf = outputs.clone().requires_grad_()
        for reduction in ("sum", "none", "mean"):
            loss.reduction = reduction
            ours, theirs = loss(leaf, targets), module.loss(leaf, targets, reduction)
            torch.testing.assert_close(theirs, ours, rtol=1e-9, atol=1e-12)
        slopes = [torch.autograd.grad(value, leaf)[0] for value in (ours, theirs)]
        torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-12)


@every_handcrafted
def test_handcrafted_losses_are_exported_to_python_and_sympy(make, tmp_path):
    loss = make()
    python = executed(export(loss, "python", "a test"), tmp_path)
    symbolic = executed(export(loss, "sympy", "a test"), tmp_path)
    outputs, targets = handcrafted_pairs(loss.kind.name)[0]
    p = outputs.softmax(1) if loss.kind.name == "classification" else outputs
    y = torch.nn.functional.one_hot(targets) if loss.kind.name == "classification" else targets
    names = inspect.signature(python.loss).parameters
    for row in range(2):
        ours = loss.per_example(outputs[row : row + 1], targets[row : row + 1]).sum().item()
        told = {"C": [3.0] * 3, "y": y[row].tolist(), "p": p[row].tolist()}
        told["z"] = outputs[row].tolist()
        by_output = [{name: float(told[name][i]) for name in names} for i in range(3)]
        assert sum(python.loss(**each) for each in by_output) == pytest.approx(ours, rel=1e-9)
        values = [
            symbolic.loss.subs({getattr(symbolic, name): value for name, value in each.items()})
            for each in by_output
        ]
        assert float(sum(values)) == pytest.approx(ours, rel=1e-9)
        assert symbolic.slope.free_symbols <= symbolic.loss.free_symbols


@every_handcrafted
def test_handcrafted_losses_are_exported_to_latex(make):
    text = export(make(), "latex", "a test")
    assert text.startswith("% a test\n")
    assert "y" in text.splitlines()[1]


def test_numbers_in_latex_are_those_that_people_write():
    text = export(HANDCRAFTED["barron"](alpha=0.5), "latex", "a test")
    assert text.splitlines()[1] == r"3 \left(0.6667 \left(p - y\right)^{2} + 1\right)^{0.25} - 3"


def test_what_a_formula_does_not_show_is_not_left_out():
    with pytest.raises(ConfigurationError, match="with weight cannot be exported"):
        export(SparseLSR(weight=torch.ones(3), ignore_index=1), "torch", "")


def test_the_file_needs_no_lossforge_and_tells_where_it_is_from(tmp_path):
    text = export(SymbolicLoss("-y*log(p)"), "torch", "from the run runs/a")
    assert "from the run runs/a" in text
    assert "-y·log|p|" in text
    path = tmp_path / "loss.py"
    path.write_text(text, encoding="utf-8")
    code = "import sys, loss; assert not any(m.startswith('lossforge') for m in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_what_has_no_formula_is_refused():
    with pytest.raises(ConfigurationError, match="no formula"):
        export(NeuralLoss(), "torch", "")
    with pytest.raises(UnknownNameError, match="torch"):
        export(SymbolicLoss("y*p"), "torhc", "")


@pytest.mark.parametrize(
    ("kind", "shape", "weight"),
    [
        ("classification", (8, 3), [0.5, 1.0, 4.0]),
        ("classification", (8, 1), [0.6, 9.0]),
        ("classification", (5, 2, 4), [0.6, 9.0]),
        ("multilabel", (8, 3), [[1.0, 2.0], [0.5, 3.0], [1.0, 7.0]]),
        ("multilabel", (8, 3), [1.0, 0.5, 3.0]),
    ],
)
@pytest.mark.parametrize("has_shares", [False, True])
def test_weights_of_classes_are_exported(kind, shape, weight, has_shares, tmp_path):
    loss = SymbolicLoss("square(y - p) - y*log(p)", kind=kind, weight=torch.tensor(weight)).double()
    module = executed(export(loss, "torch", "a test"), tmp_path)
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(shape, generator=generator, dtype=torch.float64)
    if has_shares:
        targets = torch.rand(shape, generator=generator, dtype=torch.float64)
        targets = targets / targets.sum(1, keepdim=True) if shape[1] > 1 else targets
    else:
        where = shape if kind == "multilabel" else (shape[0], *shape[2:])
        count = 2 if kind == "multilabel" else max(2, shape[1])
        targets = torch.randint(count, where, generator=generator)
        targets.view(-1)[::5] = -100
    for reduction in ("mean", "sum", "none"):
        loss.reduction = reduction
        found = module.loss(outputs, targets, reduction)
        torch.testing.assert_close(found, loss(outputs, targets))
    for form in ("latex", "python", "sympy"):
        assert "weight=" in export(loss, form, "a test")
