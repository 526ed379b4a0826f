"""The one place where (outputs, targets) become the pair (y, p) that a loss compares.

Classification: p is the softmax of the outputs (the sigmoid where there is one output) and y the
one-hot label, or the given probabilities. Regression: p and y are the raw values. Class or output
dimension is always 1; further dimensions are positions (pixels, tokens), as in PyTorch.

The maps between derivatives with respect to p and to the outputs stand here too, because a search
differentiates thousands of losses and should pay for the softmax once.
"""

from typing import assert_never

import torch
import torch.nn.functional as F
from torch import Tensor

from lossforge.errors import DataError
from lossforge.tasks.task import Kind


def predictions(outputs: Tensor, kind: Kind) -> Tensor:
    """Return p, the prediction that a loss sees.

    Args:
        outputs: what the network gives, [B, C, ...]. Half precision is computed in float32.
        kind: of the task.

    Returns:
        p, [B, C, ...]: probabilities (classification) or values (regression).

    Examples:
        >>> predictions(torch.zeros(1, 4), "classification")
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
        >>> predictions(torch.zeros(1, 1), "classification")
        tensor([[0.5000]])
    """
    outputs = full_precision(outputs)
    match kind:
        case "regression":
            return outputs
        case "classification":
            return outputs.sigmoid() if outputs.shape[1] == 1 else outputs.softmax(1)
    assert_never(kind)


def encode_targets(targets: Tensor, outputs: Tensor, kind: Kind) -> Tensor:
    """Return y, shaped and typed like p.

    Args:
        targets: labels [B, ...] (int64); or probabilities or values shaped like the outputs,
            where a single output's dimension may be left out.
        outputs: what the network gives, [B, C, ...].
        kind: of the task.

    Raises:
        DataError: where the shapes do not fit each other.

    Examples:
        >>> encode_targets(torch.tensor([1]), torch.zeros(1, 3), "classification")
        tensor([[0., 1., 0.]])
    """
    require_fit(targets, outputs, kind)
    dtype = full_precision(outputs).dtype
    if targets.shape == outputs.shape:
        return targets.to(dtype)
    if outputs.shape[1] == 1:
        return targets.to(dtype).unsqueeze(1)
    try:
        return F.one_hot(targets.long(), outputs.shape[1]).movedim(-1, 1).to(dtype)
    except RuntimeError:
        wrong = targets[(targets < 0) | (targets >= outputs.shape[1])]
        raise DataError(
            f"label {int(wrong[0])} is outside 0 to {outputs.shape[1] - 1}; the outputs are of "
            f"shape {tuple(outputs.shape)}"
        ) from None


def labels_to_count(
    targets: Tensor, outputs: Tensor, kind: Kind, ignore_index: int
) -> tuple[Tensor, Tensor | None]:
    """Return labels that are all in range, and which of them do not count.

    Args:
        targets: of a loss; all but integer labels are returned as they are.
        outputs: what the network gives, [B, C, ...].
        kind: of the task.
        ignore_index: label of positions that do not count, such as padding.

    Returns:
        int64 labels with 0 in place of ignored ones, and a mask of the ignored, None for none.

    Raises:
        DataError: a label is out of range.

    Examples:
        >>> labels_to_count(torch.tensor([1, -100]), torch.zeros(2, 3), "classification", -100)
        (tensor([1, 0]), tensor([False,  True]))
    """
    if kind != "classification" or targets.shape == outputs.shape or targets.is_floating_point():
        return targets, None
    require_fit(targets, outputs, kind)
    labels, classes = targets.long(), max(2, outputs.shape[1])
    if is_recorded():
        # What is recorded must hold for other labels, too: it may not depend on those at hand.
        ignored = labels == ignore_index
        return labels.masked_fill(ignored, 0), ignored
    if not labels.numel() or (int(labels.min()) >= 0 and int(labels.max()) < classes):
        return labels, None
    ignored = labels == ignore_index
    wrong = labels[~ignored & ((labels < 0) | (labels >= classes))]
    if len(wrong):
        raise DataError(
            f"label {int(wrong[0])} is outside 0 to {classes - 1}; the outputs are of shape "
            f"{tuple(outputs.shape)} (positions that do not count have the label {ignore_index})"
        )
    return labels.masked_fill(ignored, 0), ignored


def is_recorded() -> bool:
    """Tell whether PyTorch records operations, by tracing or exporting, to repeat them later."""
    return torch._C._get_tracing_state() is not None or torch.compiler.is_exporting()


def require_fit(targets: Tensor, outputs: Tensor, kind: Kind) -> None:
    """Raise `DataError` unless the targets' shape and type fit the outputs."""
    if targets.shape == outputs.shape:
        return
    without_classes = outputs.shape[:1] + outputs.shape[2:]
    if targets.shape != without_classes or (kind == "regression" and outputs.shape[1] != 1):
        raise DataError(
            f"targets of shape {tuple(targets.shape)} do not fit outputs of shape "
            f"{tuple(outputs.shape)}; give {_expected(outputs, kind)}"
        )
    if outputs.shape[1] > 1 and targets.is_floating_point():
        raise DataError("class labels must be integers; convert the targets with .long()")


def pull_back(cotangent: Tensor, p: Tensor, kind: Kind) -> Tensor:
    """Map a derivative with respect to p to the derivative with respect to the outputs.

    Args:
        cotangent: [..., B, C], derivative with respect to p.
        p: predictions, [..., B, C].
        kind: of the task.
    """
    match kind:
        case "regression":
            return cotangent
        case "classification":
            if p.shape[-1] == 1:
                return cotangent * p * (1 - p)
            weighted = cotangent * p
            return weighted - p * weighted.sum(-1, keepdim=True)
    assert_never(kind)


def push_forward(tangent: Tensor, p: Tensor, kind: Kind) -> Tensor:
    """Map a direction in the outputs, [..., B, C], to the direction in which p moves.

    The Jacobians of softmax, sigmoid and identity are symmetric: it is the same map as `pull_back`.
    """
    return pull_back(tangent, p, kind)


def full_precision(tensor: Tensor) -> Tensor:
    """Return the tensor in float32 if it has less; losses lose too much in half precision."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _expected(outputs: Tensor, kind: Kind) -> str:
    labels = tuple(outputs.shape[:1] + outputs.shape[2:])
    if kind == "classification":
        return f"integer labels of shape {labels} or probabilities of the outputs' shape"
    return "values of the outputs' shape"
