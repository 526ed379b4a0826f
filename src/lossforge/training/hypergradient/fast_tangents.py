"""Forward-mode rules where PyTorch's own are slow."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)


@final
class FastTangents(TorchFunctionMode):
    """Inside the block, batch normalization and convolutions of plain tensors have fast tangents.

    PyTorch's own rule for batch normalization is composed of a dozen elementwise passes; it took a
    quarter of the forward-mode pass through a convolutional network on a CPU. A convolution of an
    input without a tangent, as a network's first, convolves zeros in its place: 5 times dearer.

    Embeddings have the tangent that their gradient is the transpose of: none at padding, and
    weighted where gradients are scaled by frequency. Bags of embeddings and distances have one at
    all.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Replace the functions that have a rule here; pass all else on."""
        kwargs = kwargs or {}
        if func in CONVOLUTIONS:
            return _convolution(func, *args, **kwargs)
        rule = RULES.get(func)
        if rule is not None:
            return rule(*args, **kwargs)
        return func(*args, **kwargs)


def _convolution(
    convolve: Callable[..., Tensor],
    input: Tensor,  # noqa: A002  # PyTorch's own name
    weight: Tensor,
    bias: Tensor | None = None,
    *args: Any,
    **options: Any,
) -> Tensor:
    """Stand in for PyTorch's functions of that name."""
    filters = forward_ad.unpack_dual(weight)
    if filters.tangent is None or forward_ad.unpack_dual(input).tangent is not None:
        return convolve(input, weight, bias, *args, **options)
    shift = None if bias is None else forward_ad.unpack_dual(bias)
    outputs = convolve(input, filters.primal, shift and shift.primal, *args, **options)
    tangent = convolve(input, filters.tangent, shift and shift.tangent, *args, **options)
    paired: Tensor = forward_ad.make_dual(outputs, tangent)
    return paired


def _embedding(
    input: Tensor,  # noqa: A002  # PyTorch's own name
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Stand in for PyTorch's function of that name."""
    table = forward_ad.unpack_dual(weight)
    rows = F.embedding(input, table.primal, padding_idx, max_norm, norm_type)
    if table.tangent is None:
        return rows
    tangent = F.embedding(input, table.tangent)
    if padding_idx is not None:
        tangent = tangent.masked_fill((input == padding_idx % len(weight))[..., None], 0)
    if scale_grad_by_freq:
        counts = torch.bincount(input.flatten(), minlength=len(weight))
        tangent = tangent / counts[input][..., None]
    paired: Tensor = forward_ad.make_dual(rows, tangent)
    return paired


def _embedding_bag(
    input: Tensor,  # noqa: A002  # PyTorch's own name
    weight: Tensor,
    *args: Any,
    **options: Any,
) -> Tensor:
    """Stand in for PyTorch's function of that name, which is linear in the weight but for "max"."""
    table = forward_ad.unpack_dual(weight)
    bags = F.embedding_bag(input, table.primal, *args, **options)
    scale_by_frequency = options.get("scale_grad_by_freq", args[3] if len(args) > 3 else False)
    if table.tangent is None or "max" in (*args, *options.values()) or scale_by_frequency:
        return F.embedding_bag(input, weight, *args, **options)
    tangent = F.embedding_bag(input, table.tangent, *args, **options)
    paired: Tensor = forward_ad.make_dual(bags, tangent)
    return paired


def _cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """Stand in for PyTorch's function of that name."""
    differences: Tensor = x1[..., :, None, :] - x2[..., None, :, :]
    distances: Tensor = torch.linalg.vector_norm(differences, p, dim=-1)
    return distances


def _batch_norm(
    inputs: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Stand in for PyTorch's function of that name; running statistics are left as they are."""
    if not training or weight is None or bias is None:
        return F.batch_norm(
            inputs, running_mean, running_var, weight, bias, training, momentum, eps
        )
    outputs = _BatchNorm.apply(inputs, weight, bias, eps)  # type: ignore[no-untyped-call]
    assert isinstance(outputs, Tensor)
    return outputs


class _BatchNorm(torch.autograd.Function):
    """Normalization by the batch's statistics.

    The Jacobian of x -> (x - mean) / std is symmetric, so the fused backward pass computes the
    forward-mode tangent as well.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        y, mean, inverse_std = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        ctx.save_for_forward(x, weight, mean, inverse_std)
        ctx.eps = eps
        return y

    @staticmethod
    def jvp(
        ctx: Any, x_dot: Tensor | None, weight_dot: Tensor | None, bias_dot: Tensor | None, _: None
    ) -> Tensor:
        x, weight, mean, inverse_std = ctx.saved_tensors
        channels = (1, -1) + (1,) * (x.dim() - 2)
        if x_dot is None:
            y_dot = torch.zeros_like(x)
        else:
            y_dot, _, _ = torch.ops.aten.native_batch_norm_backward(
                _laid_out_as(x, x_dot),
                x,
                weight,
                None,
                None,
                mean,
                inverse_std,
                True,
                ctx.eps,
                [True, False, False],
            )
        scale = torch.zeros_like(weight) if weight_dot is None else weight_dot * inverse_std
        shift = -mean * scale if bias_dot is None else bias_dot - mean * scale
        return y_dot.addcmul_(x, scale.view(channels)).add_(shift.view(channels))


def _laid_out_as(model: Tensor, tensor: Tensor) -> Tensor:
    if model.dim() == 4 and model.is_contiguous(memory_format=torch.channels_last):
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor.contiguous()


RULES: dict[Callable[..., Any], Callable[..., Tensor]] = {
    F.batch_norm: _batch_norm,
    F.embedding: _embedding,
    F.embedding_bag: _embedding_bag,
    torch.cdist: _cdist,
}
