"""A loss that is a formula: an expression over (y, p) with one coefficient an edge."""

from collections.abc import Sequence
from typing import Any, Unpack, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.errors import ExpressionError
from lossforge.losses.expression import (
    BUILT_IN,
    PRIMITIVES,
    Expression,
    Formula,
    evaluate,
    parse_weighted,
    simplify,
    to_text,
)
from lossforge.losses.loss import ElementwiseLoss, LabelOptions, Loss, Reduction
from lossforge.tasks.kinds import Kind


@final
class SymbolicLoss(ElementwiseLoss):
    """An expression with coefficients, summed over the outputs.

    Args:
        expression: a tree, or text such as ``"-y*log(p)"`` or ``"0.5*square(y - p)"``.
        coefficients: one number a node in prefix order, the root's first; by default those that
            the text names, else ones. A parameter of the module that does not ask for gradients
            unless told to (``requires_grad_``), so that training loops leave it alone.
        kind: of the tasks, one of `lossforge.tasks.kinds` or its name.
        softplus: apply softplus to the value, so that the loss cannot be negative.
        reduction: as in PyTorch.
        labels: `weight` and `ignore_index`, as of every loss.

    Source: thesis, ch. 4 (transition to a trainable loss).

    Examples:
        >>> loss = SymbolicLoss("-y*log(p)")
        >>> print(loss)
        -y·log|p|
        >>> loss
        SymbolicLoss(-y·log|p|)
        >>> round(loss(torch.zeros(1, 2), torch.tensor([0])).item(), 4)
        0.6931
    """

    def __init__(
        self,
        expression: Expression | str,
        coefficients: Sequence[float] | Tensor | None = None,
        *,
        kind: Kind | str = "classification",
        softplus: bool = False,
        reduction: Reduction = "mean",
        **labels: Unpack[LabelOptions],
    ):
        super().__init__(kind, reduction, **labels)
        if isinstance(expression, str):
            expression, written = parse_weighted(expression)
            coefficients = written if coefficients is None else coefficients
        self.expression = expression
        self.softplus = softplus
        self.coefficients = nn.Parameter(
            _checked_coefficients(expression, coefficients), requires_grad=False
        )

    def with_coefficients(self, coefficients: Sequence[float] | Tensor) -> "SymbolicLoss":
        """Return the same loss, its class weights included, with other coefficients.

        Args:
            coefficients: one number a node in prefix order, the root's first.

        Examples:
            >>> print(SymbolicLoss("abs(y - p)").with_coefficients([2.0, 1.0, 1.0, 1.0]))
            2·|p - y|
        """
        return SymbolicLoss(
            self.expression,
            coefficients,
            kind=self.kind,
            softplus=self.softplus,
            reduction=self.reduction,
            weight=self.weight,
        )

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        """Return the formula's value for each output, shaped like `p`."""
        value = evaluate(self.expression, y, p, self.coefficients.to(p.dtype))
        return F.softplus(value) if self.softplus else value

    @property
    def formula(self) -> Formula:
        """The simplified formula, for reading: as text, LaTeX and SymPy.

        That of a classification loss holds for labels, where y² is y and p is positive.
        """
        return simplify(
            self.expression,
            self.coefficients.tolist(),
            softplus=self.softplus,
            labels=self.kind.predicts_probabilities,
        )

    def definition(self) -> dict[str, object]:
        """Return the loss as plain data; it names the primitives that lossforge does not bring."""
        own = sorted(self.expression.symbols & set(PRIMITIVES) - BUILT_IN)
        return {
            "type": "symbolic",
            "kind": self.kind.name,
            "expression": to_text(self.expression),
            "coefficients": self.coefficients.tolist(),
            "softplus": self.softplus,
            **({"primitives": own} if own else {}),
        }

    def _repr_latex_(self) -> str:
        """Return the formula as notebooks show it."""
        return f"${self.formula.latex}$"

    def __str__(self) -> str:
        """Return the simplified formula, and the weights of the classes where it has some."""
        return f"{self.formula.text}{weight_note(self)}"


def weight_note(loss: Loss) -> str:
    """Return what follows a formula to tell the weights of the classes; empty without any.

    Examples:
        >>> weight_note(SymbolicLoss("-y*log(p)", weight=torch.tensor([0.5, 16.5])))
        ', times weight=[0.5, 16.5] of the class'
    """
    if loss.weight is None:
        return ""
    return f", times weight={_short(loss.weight.tolist())} of the class"


def _short(numbers: list[Any] | float) -> str:
    """Return nested numbers as people read them."""
    if isinstance(numbers, list):
        return f"[{', '.join(map(_short, numbers))}]"
    return f"{numbers:.4g}"


def _checked_coefficients(
    expression: Expression, coefficients: Sequence[float] | Tensor | None
) -> Tensor:
    if coefficients is None:
        return torch.ones(expression.size)
    double = isinstance(coefficients, Tensor) and coefficients.dtype == torch.float64
    dtype = torch.float64 if double else torch.float32
    values = torch.as_tensor(coefficients, dtype=dtype).detach().clone()
    if values.shape != (expression.size,):
        raise ExpressionError(
            f"{to_text(expression)} has {expression.size} nodes and needs as many coefficients, "
            f"not {tuple(values.shape)}"
        )
    if not bool(values.isfinite().all()):
        raise ExpressionError(f"the coefficients of {to_text(expression)} are not all finite")
    return values
