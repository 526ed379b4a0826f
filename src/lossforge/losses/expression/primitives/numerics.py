"""Safe numerics that the primitives share.

The hypergradient differentiates a learned loss twice, so every primitive has a finite value, first
and second derivative for every input that is not NaN, in float32 and in float64:

- Inputs are first limited to ±`LIMIT`, where products and squares are still far from overflow in
  float32. From the limit on, infinities included, the derivative is zero.
- Functions that are not smooth or not finite near zero take x² + ε² for x², with ε = `EPSILON`.

NaN passes through: hiding it would turn a diverged network into a plausible number.

A product of many such derivatives can still overflow. A loss that gets there has diverged, and
training reports it so.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

LIMIT = 1e15
EPSILON = 1e-4

HALF, ONE, THREE_HALVES, TWO, THREE, SOFTENING = (
    {dtype: torch.tensor(number, dtype=dtype) for dtype in (torch.float32, torch.float64)}
    for number in (0.5, 1.0, 1.5, 2.0, 3.0, EPSILON**2)
)
"""Numbers as tensors: PyTorch converts a Python number anew at every use, which takes as long as
the operation itself on the small tensors of one batch."""


def limit(x: Tensor) -> Tensor:
    """Clamp to ±`LIMIT`; the derivative is zero from the limit on, and NaN stays NaN.

    Examples:
        >>> limit(torch.tensor([2.0, -torch.inf])).tolist()
        [2.0, -999999986991104.0]
    """
    return F.hardtanh(x, -LIMIT, LIMIT)


def through_limit(gradient: Tensor, limited: Tensor) -> Tensor:
    """Return `gradient` where `limited`, an output of `limit`, is inside the limit, else zero."""
    result: Tensor = torch.ops.aten.hardtanh_backward(gradient, limited, -LIMIT, LIMIT)
    return result


def through_limit_(gradient: Tensor, limited: Tensor) -> None:
    """Set `gradient` to zero, in place, where `limited` is at the limit."""
    torch.ops.aten.hardtanh_backward.grad_input(
        gradient, limited, -LIMIT, LIMIT, grad_input=gradient
    )


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + eˣ) with derivatives of every order that neither overflow nor switch.

    PyTorch's own is the identity above a threshold, where its derivative jumps.

    Examples:
        >>> round(softplus(torch.tensor(0.0)).item(), 4)
        0.6931
    """
    return -F.logsigmoid(-x)
