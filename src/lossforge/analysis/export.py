"""Losses as files that need no lossforge: PyTorch, plain Python, SymPy, LaTeX."""

import re
from collections.abc import Callable, Sequence
from textwrap import indent
from typing import Any

from lossforge.errors import ConfigurationError, unknown_name
from lossforge.losses import Handcrafted, Loss, SymbolicLoss
from lossforge.losses.expression import ARITY, PRIMITIVES, Expression, Primitive, to_text
from lossforge.losses.expression.primitives import LIMIT
from lossforge.losses.handcrafted.base import Classification
from lossforge.losses.symbolic import weight_note
from lossforge.tasks import kinds

TORCH_LIMIT = f"torch.nn.functional.hardtanh(a, -{LIMIT!r}, {LIMIT!r})"
PYTHON_LIMIT = f"min(max(a, -{LIMIT!r}), {LIMIT!r})"

SINGLE_PRECISION = """\
    outputs = outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs
"""

TWO_CLASSES = """\
    logits = outputs
    if outputs.shape[1] == 1:  # the logit of the second of two classes
        logits = torch.cat([torch.zeros_like(outputs), outputs], 1)
        y = torch.cat([1 - y, y], 1)
    log_p = logits.log_softmax(1).clamp_min(torch.finfo(logits.dtype).min)
    p = log_p.exp()
"""

REDUCTION = """\
    if reduction == "none":
        return values
    return values.mean() if reduction == "mean" else values.sum()
"""

REDUCTION_OF_LABELS = """\
    if counted is not None:
        values = values * counted
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    return values.mean() if counted is None else values.sum() / counted.sum()
"""

WEIGHTS_OF_CLASSES = """\
    shares = torch.cat([1 - y, y], 1) if y.shape[1] == 1 else y
    weight = torch.tensor({}, dtype=values.dtype, device=values.device)
    weight = (shares.movedim(1, -1) * weight).sum(-1)  # of each row's class
    if counted is None:
        values = values * weight
    else:
        counted = counted * weight
"""

WEIGHTS_OF_LABELS = """\
    weight = torch.tensor({}, dtype=values.dtype, device=values.device)
    weight = weight if weight.dim() == 2 else torch.stack([weight, weight], 1)
    weight = weight.T.reshape(1, *weight.T.shape, *[1] * (values.dim() - 2))
    values = values * (y * weight).sum(1)  # of each label's absence or presence
"""

SIGNATURE = 'def loss(outputs, targets, reduction="mean"):\n'
SIGNATURE_OF_LABELS = 'def loss(outputs, targets, reduction="mean", ignore_index={}):\n'


def export(loss: Loss, form: str, provenance: str) -> str:
    r"""Return a loss as the text of a standalone file.

    Args:
        loss: symbolic or handcrafted.
        form: "torch", "python", "sympy" or "latex".
        provenance: where the loss comes from; stands at the top.

    Raises:
        UnknownNameError: there is no such form.
        ConfigurationError: the loss has no formula.

    Examples:
        >>> print(export(SymbolicLoss("(y - p)**2"), "latex", "an example"))
        % an example
        \left(p - y\right)^{2}
    """
    if form not in FORMS:
        raise unknown_name("form of export", form, FORMS)
    symbolic, handcrafted = FORMS[form]
    if isinstance(loss, SymbolicLoss):
        return symbolic(loss, provenance)
    _require_numbers_alone(loss)
    if isinstance(loss, Handcrafted):
        return handcrafted(loss, provenance)
    raise ConfigurationError(
        f"{loss} has no formula to export to {form}; give a symbolic or handcrafted loss"
    )


def _require_numbers_alone(loss: Loss) -> None:
    """Refuse what a formula does not show, rather than leave it out."""
    if loss.weight is not None or getattr(loss, "weighting", None) is not None:
        raise ConfigurationError(f"{loss} with weight cannot be exported; drop it")


def _torch(loss: SymbolicLoss, provenance: str) -> str:
    value = _nested(loss)
    value = f"-torch.nn.functional.logsigmoid(-{value})" if loss.softplus else value
    return (
        _header(loss, provenance, "import torch\n")
        + _helpers(loss.expression, lambda primitive: primitive.torch_source, TORCH_LIMIT)
        + _signature(loss)
        + f'    """Outputs [B, C, ...], {_targets(loss)}; see the top of the file."""\n'
        + SINGLE_PRECISION
        + loss.kind.target_source
        + loss.kind.prediction_source
        + "    y, p = _limit(y), _limit(p)\n    one = torch.ones_like(p)\n"
        + f"    values = {value}\n    values = values.expand_as(p).sum(1)\n"
        + _weighted(loss)
        + _reduction(loss)
    )


def _weighted(loss: SymbolicLoss) -> str:
    """Return statements that weigh the rows by their classes; nothing without weights."""
    if loss.weight is None:
        return ""
    weight = loss.weight.tolist()
    if isinstance(loss.kind, kinds.Classification):
        return WEIGHTS_OF_CLASSES.format(weight)
    if isinstance(loss.kind, kinds.MultiLabel):
        return WEIGHTS_OF_LABELS.format(weight)
    raise ConfigurationError(f"{loss} with weight cannot be exported to torch; drop it")


def _python(loss: SymbolicLoss, provenance: str) -> str:
    value = _nested(loss)
    value = f"_softplus({value})" if loss.softplus else value
    softplus = "def _softplus(x):\n    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))\n\n\n"
    return (
        _header(loss, provenance, "import math\n")
        + _helpers(loss.expression, lambda primitive: primitive.python_source, PYTHON_LIMIT)
        + (softplus if loss.softplus else "")
        + 'def loss(y, p):\n    """The loss of one output: target y and prediction p, numbers."""\n'
        + f"    y, p, one = _limit(y), _limit(p), 1.0\n    return {value}\n"
    )


def _sympy(loss: SymbolicLoss, provenance: str) -> str:
    value = _nested(loss)
    value = f"sympy.log(1 + sympy.exp({value}))" if loss.softplus else value
    return (
        _header(loss, provenance, "import sympy\n")
        + _helpers(loss.expression, lambda primitive: primitive.sympy_source, "a")
        + 'y, p = sympy.symbols("y p", real=True)\none = sympy.Integer(1)\n'
        + f"loss = {value}\nslope = sympy.diff(loss, p)\n"
    )


def _latex(loss: SymbolicLoss, provenance: str) -> str:
    note = weight_note(loss).removeprefix(", ")
    return f"% {provenance}\n{loss.formula.latex}" + (f"\n% {note}" if note else "")


def _handcrafted_torch(loss: Handcrafted, provenance: str) -> str:
    statements = loss.torch_source()
    imports = "import math\n\n" if "math." in statements else ""
    functional = "import torch.nn.functional as F\n" if "F." in statements else ""
    return (
        f'"""{loss}\n\n{provenance}\n"""\n\n{imports}import torch\n{functional}\n\n'
        + _signature(loss)
        + f'    """Outputs [B, C, ...], {_targets(loss)}."""\n'
        + SINGLE_PRECISION
        + loss.kind.target_source
        + (TWO_CLASSES if isinstance(loss, Classification) else loss.kind.prediction_source)
        + indent(statements, "    ")
        + "\n    values = values.sum(1)\n"
        + _reduction(loss)
    )


def _handcrafted_python(loss: Handcrafted, provenance: str) -> str:
    formula = loss.formula()
    imports = "import math\n\n\n" if re.search(r"\b(log|exp|sqrt)\(", formula) else ""
    helpers = "".join(
        definition for name, definition in PYTHON_FUNCTIONS.items() if f"{name}(" in formula
    )
    return (
        f'"""{loss}\n\n{provenance}\n"""\n\n{imports}{helpers}'
        f"def loss({', '.join(_variables(loss))}):\n"
        f'    """The loss of one output: {_meaning(loss)}."""\n'
        f"    return {formula}\n"
    )


def _handcrafted_sympy(loss: Handcrafted, provenance: str) -> str:
    names = _variables(loss)
    return (
        f'"""{loss}\n\nof one output: {_meaning(loss)}.\n\n{provenance}\n"""\n\n'
        "import sympy\nfrom sympy import Abs as abs\nfrom sympy import Max as max\n"
        "from sympy import Min as min\nfrom sympy import exp, log, sqrt\n\n"
        f'{", ".join(names)} = sympy.symbols("{" ".join(names)}", real=True)\n'
        f"loss = {loss.formula()}\nslope = sympy.diff(loss, {names[1]})\n"
    )


def _handcrafted_latex(loss: Handcrafted, provenance: str) -> str:
    import sympy

    known: dict[str, object] = {"abs": sympy.Abs, "min": sympy.Min, "max": sympy.Max}
    known |= {name: sympy.Symbol(name, real=True) for name in VARIABLES}
    formula = sympy.sympify(loss.formula(), known)
    numbers = {number: _short(number) for number in formula.atoms(sympy.Float)}
    return f"% {provenance}\n{sympy.latex(formula.xreplace(numbers))}"


def _short(number: Any) -> Any:
    """Return a SymPy number as people write it: 1 for 1.0, few digits."""
    import sympy

    whole = float(number).is_integer()
    return sympy.Integer(int(number)) if whole else sympy.Float(number, 4)


VARIABLES = {
    "y": "target y",
    "p": "prediction p",
    "z": "raw output z",
    "C": "number C of outputs",
}

PYTHON_FUNCTIONS = {
    "log": "def log(x):\n    return math.log(max(x, 1e-300))\n\n\n",
    "exp": "exp = math.exp\n\n\n",
    "sqrt": "sqrt = math.sqrt\n\n\n",
}


def _variables(loss: Handcrafted) -> list[str]:
    """Return the names that the loss's formula uses, y and the prediction first."""
    formula = loss.formula()
    return [name for name in VARIABLES if re.search(rf"\b{name}\b", formula)]


def _meaning(loss: Handcrafted) -> str:
    return ", ".join(VARIABLES[name] for name in _variables(loss))


FORMS: dict[str, tuple[Callable[[SymbolicLoss, str], str], Callable[[Handcrafted, str], str]]] = {
    "torch": (_torch, _handcrafted_torch),
    "python": (_python, _handcrafted_python),
    "sympy": (_sympy, _handcrafted_sympy),
    "latex": (_latex, _handcrafted_latex),
}


def _header(loss: SymbolicLoss, provenance: str, imports: str) -> str:
    return (
        f'"""A learned loss: {loss}\n\nsummed over the outputs of a row, where '
        f"{loss.kind.words.prepared}.\n"
        f"log and sqrt are smooth near zero; arguments are limited to {LIMIT:g}.\n\n"
        f'Expression: {to_text(loss.expression)}\n{provenance}\n"""\n\n{imports}\n\n'
    )


def _helpers(expression: Expression, source: Callable[[Primitive], str], limit: str) -> str:
    """Return the definitions of the primitives that an expression uses."""
    text = f"def _limit(a):\n    return {limit}\n\n\n"
    for name in sorted(expression.symbols & set(PRIMITIVES)):
        body = source(PRIMITIVES[name])
        if not body:
            raise ConfigurationError(
                f"the primitive {name!r} was registered without the source that this export needs"
            )
        arguments = ["a", "b"][: ARITY[name]]
        limited = ", ".join(f"_limit({argument})" for argument in arguments)
        listed = ", ".join(arguments)
        text += f"def _{name}({listed}):\n    {listed} = {limited}\n    return {body}\n\n\n"
    return text


def _nested(loss: SymbolicLoss) -> str:
    """Return the expression with its coefficients as nested calls."""
    coefficients: Sequence[float] = loss.coefficients.tolist()
    leaves = {"y": "y", "p": "p", "1": "one", "-1": "-one"}
    stack: list[str] = []
    for position in reversed(range(loss.expression.size)):
        symbol = loss.expression.nodes[position]
        text = leaves.get(symbol)
        if text is None:
            arguments = (stack.pop() for _ in range(ARITY[symbol]))
            text = f"_{symbol}({', '.join(arguments)})"
        weight = coefficients[position]
        stack.append(text if weight == 1 else f"({weight!r} * {text})")
    return stack.pop()


def _targets(loss: Loss) -> str:
    return loss.kind.words.targets


def _signature(loss: Loss) -> str:
    index = loss.ignore_index
    return SIGNATURE if index is None else SIGNATURE_OF_LABELS.format(index)


def _reduction(loss: Loss) -> str:
    return REDUCTION if loss.ignore_index is None else REDUCTION_OF_LABELS
