"""Losses as files that need no lossforge: PyTorch, plain Python, SymPy, LaTeX."""

from collections.abc import Callable, Sequence

from lossforge.errors import ConfigurationError, unknown_name
from lossforge.losses import Loss, SymbolicLoss
from lossforge.losses.expression import ARITY, Expression, to_text
from lossforge.losses.expression.primitives import EPSILON, LIMIT
from lossforge.losses.handcrafted import (
    Absolute,
    CrossEntropy,
    Focal,
    Handcrafted,
    Huber,
    LabelSmoothing,
    Squared,
)

TORCH_PRIMITIVES = {
    "add": "a + b",
    "sub": "a - b",
    "mul": "a * b",
    "aq": "a / (b * b + 1).sqrt()",
    "min": "torch.minimum(a, b)",
    "max": "torch.maximum(a, b)",
    "sign": "a.sign() + 0 * a",
    "square": "a * a",
    "abs": "a.abs()",
    "log": f"0.5 * (a * a + {EPSILON**2!r}).log()",
    "sqrt": f"(a * a + {EPSILON**2!r}).sqrt().sqrt()",
    "tanh": "a.tanh()",
}

PYTHON_PRIMITIVES = TORCH_PRIMITIVES | {
    "aq": "a / math.sqrt(b * b + 1)",
    "min": "min(a, b)",
    "max": "max(a, b)",
    "sign": "float((a > 0) - (a < 0))",
    "abs": "abs(a)",
    "log": f"0.5 * math.log(a * a + {EPSILON**2!r})",
    "sqrt": f"math.sqrt(math.sqrt(a * a + {EPSILON**2!r}))",
    "tanh": "math.tanh(a)",
}

SYMPY_PRIMITIVES = TORCH_PRIMITIVES | {
    "aq": "a / sympy.sqrt(b * b + 1)",
    "min": "sympy.Min(a, b)",
    "max": "sympy.Max(a, b)",
    "sign": "sympy.sign(a)",
    "abs": "sympy.Abs(a)",
    "log": f"sympy.log(a * a + {EPSILON**2!r}) / 2",
    "sqrt": f"sympy.sqrt(sympy.sqrt(a * a + {EPSILON**2!r}))",
    "tanh": "sympy.tanh(a)",
}

TORCH_LIMIT = f"torch.nn.functional.hardtanh(a, -{LIMIT!r}, {LIMIT!r})"
PYTHON_LIMIT = f"min(max(a, -{LIMIT!r}), {LIMIT!r})"

PREPARATION = {
    "classification": """\
    outputs = outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs
    p = outputs.sigmoid() if outputs.shape[1] == 1 else outputs.softmax(1)
    if targets.shape == outputs.shape:
        y = targets.to(p.dtype)
    elif outputs.shape[1] == 1:
        y = targets.to(p.dtype).unsqueeze(1)
    else:
        y = torch.nn.functional.one_hot(targets, p.shape[1]).movedim(-1, 1).to(p.dtype)
""",
    "regression": """\
    p = outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs
    y = (targets if targets.shape == p.shape else targets.unsqueeze(1)).to(p.dtype)
""",
}

REDUCTION = """\
    if reduction == "none":
        return values
    return values.mean() if reduction == "mean" else values.sum()
"""

SIGNATURE = 'def loss(outputs, targets, reduction="mean"):\n'

HANDCRAFTED_TORCH: dict[type[Handcrafted], str] = {
    CrossEntropy: "F.cross_entropy(outputs, targets, reduction='none')",
    LabelSmoothing: "F.cross_entropy(outputs, targets, reduction='none', "
    "label_smoothing={smoothing!r})",
    Focal: "((1 - (-F.cross_entropy(outputs, targets, reduction='none')).exp()).clamp_min(1e-38)"
    " ** {gamma!r} * F.cross_entropy(outputs, targets, reduction='none'))",
    Squared: "(outputs - targets).square().sum(1)",
    Absolute: "(outputs - targets).abs().sum(1)",
    Huber: "F.huber_loss(outputs, targets, reduction='none', delta={delta!r}).sum(1)",
}
"""for outputs of two or more classes with integer labels, or values of the outputs' shape"""


def export(loss: Loss, form: str, provenance: str) -> str:
    r"""Return a loss as the text of a standalone file.

    Args:
        loss: symbolic; handcrafted ones for "torch" as well.
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
    if isinstance(loss, SymbolicLoss):
        return FORMS[form](loss, provenance)
    if form == "torch" and type(loss) in HANDCRAFTED_TORCH:
        return _handcrafted(loss, provenance)  # type: ignore[arg-type]
    raise ConfigurationError(f"{loss} has no formula to export to {form}; give a symbolic loss")


def _torch(loss: SymbolicLoss, provenance: str) -> str:
    value = _nested(loss)
    value = f"-torch.nn.functional.logsigmoid(-{value})" if loss.softplus else value
    return (
        _header(loss, provenance, "import torch\n")
        + _helpers(loss.expression, TORCH_PRIMITIVES, TORCH_LIMIT)
        + SIGNATURE
        + f'    """Outputs [B, C, ...], {_targets(loss)}; see the top of the file."""\n'
        + PREPARATION[loss.kind]
        + "    y, p = _limit(y), _limit(p)\n    one = torch.ones_like(p)\n"
        + f"    values = {value}\n    values = values.expand_as(p).sum(1)\n"
        + REDUCTION
    )


def _python(loss: SymbolicLoss, provenance: str) -> str:
    value = _nested(loss)
    value = f"_softplus({value})" if loss.softplus else value
    softplus = "def _softplus(x):\n    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))\n\n\n"
    return (
        _header(loss, provenance, "import math\n")
        + _helpers(loss.expression, PYTHON_PRIMITIVES, PYTHON_LIMIT)
        + (softplus if loss.softplus else "")
        + 'def loss(y, p):\n    """The loss of one output: target y and prediction p, numbers."""\n'
        + f"    y, p, one = _limit(y), _limit(p), 1.0\n    return {value}\n"
    )


def _sympy(loss: SymbolicLoss, provenance: str) -> str:
    value = _nested(loss)
    value = f"sympy.log(1 + sympy.exp({value}))" if loss.softplus else value
    return (
        _header(loss, provenance, "import sympy\n")
        + _helpers(loss.expression, SYMPY_PRIMITIVES, "a")
        + 'y, p = sympy.symbols("y p", real=True)\none = sympy.Integer(1)\n'
        + f"loss = {value}\nslope = sympy.diff(loss, p)\n"
    )


def _latex(loss: SymbolicLoss, provenance: str) -> str:
    return f"% {provenance}\n{loss.formula.latex}"


def _handcrafted(loss: Handcrafted, provenance: str) -> str:
    value = HANDCRAFTED_TORCH[type(loss)].format(**loss.options())
    return (
        f'"""{loss}\n\n{provenance}\n"""\n\nimport torch.nn.functional as F\n\n\n'
        + SIGNATURE
        + f'    """{_targets(loss).capitalize()}."""\n    values = {value}\n'
        + REDUCTION
    )


FORMS: dict[str, Callable[[SymbolicLoss, str], str]] = {
    "torch": _torch,
    "python": _python,
    "sympy": _sympy,
    "latex": _latex,
}


def _header(loss: SymbolicLoss, provenance: str, imports: str) -> str:
    prepared = (
        "p is the softmax of the outputs (the sigmoid of a single one), y the one-hot label"
        if loss.kind == "classification"
        else "p is the output, y the target"
    )
    return (
        f'"""A learned loss: {loss}\n\nsummed over the outputs of an example, where {prepared}.\n'
        f"log and sqrt are smooth near zero; arguments are limited to {LIMIT:g}.\n\n"
        f'Expression: {to_text(loss.expression)}\n{provenance}\n"""\n\n{imports}\n\n'
    )


def _helpers(expression: Expression, bodies: dict[str, str], limit: str) -> str:
    """Return the definitions of the primitives that an expression uses."""
    text = f"def _limit(a):\n    return {limit}\n\n\n"
    for name in sorted(expression.symbols & set(bodies)):
        arguments = ["a", "b"][: ARITY[name]]
        limited = ", ".join(f"_limit({argument})" for argument in arguments)
        listed = ", ".join(arguments)
        text += f"def _{name}({listed}):\n    {listed} = {limited}\n    return {bodies[name]}\n\n\n"
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
    return "labels [B, ...]" if loss.kind == "classification" else "values [B, C]"
