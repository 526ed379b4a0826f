"""Batch norm by the batch at hand, that is cheap to differentiate twice.

An inner loop differentiates through gradients. PyTorch's double backward of batch norm makes some
twenty passes over the images; here it is written out by hand, on images with the channels last.
Where a ReLU and pooling follow, only the moments are taken of whole images: pooling first and
scaling afterwards gives the same numbers, on a quarter of the pixels.

FiLM stands between the norm and the activation, so it changes nothing but the norm's scale and
shift of each channel: it costs no pass over the images. After the norm, the mean of a channel is
the same in every task; FiLM therefore sees the mean before it, in units of the deviation.
(The released code takes the mean before the convolution, of which this is a linear function.)
"""

from abc import ABC, abstractmethod
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.methods.npbml.film import FiLM

EPSILON = 1e-5


def is_plain(images: Tensor) -> bool:
    """Return whether PyTorch's own operations serve better: on a GPU, and with tasks stacked."""
    return images.device.type != "cpu" or torch._C._are_functorch_transforms_active()


class _Scaled(nn.Module, ABC):
    """A norm's scale and shift of each channel, and the FiLM that follows it."""

    def __init__(self, channels: int, *, film: bool = False, task: int = 0):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.film = FiLM(channels, task=task) if film else None

    def _coefficients(self, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
        """Return scale and shift [C] of what has mean 0 and deviation 1, FiLM included.

        Args:
            mean: of each channel, [C].
            inverse: 1 over its deviation, [C].
        """
        if self.film is None:
            return self.weight, self.bias
        scale, shift = self.film.coefficients(mean * inverse)
        return self.weight * scale, torch.addcmul(shift, self.bias, scale)

    def _usual(self, images: Tensor) -> Tensor:
        if self.film is None:
            return F.batch_norm(images, None, None, self.weight, self.bias, True, eps=EPSILON)
        variance, mean = torch.var_mean(images, (0, 2, 3), correction=0)
        scale, shift = self._coefficients(mean, (variance + EPSILON).rsqrt())
        # Not as batch_norm's weights: with tasks stacked its second derivatives were wrong then.
        normal = F.batch_norm(images, None, None, None, None, True, eps=EPSILON)
        return torch.addcmul(_wide(shift), normal, _wide(scale))

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Return images [B, C, H, W] normalized, and what comes after."""


@final
class TaskNorm(_Scaled):
    """Normalize each channel by its mean and deviation in the batch; then scale and shift.

    The numbers are those of `nn.BatchNorm2d(channels, track_running_stats=False)`.

    Args:
        channels: the second dimension of the inputs.
        film: whether FiLM follows.
        task: width of the task's vector that FiLM sees; 0 for the mean before the norm.

    Examples:
        >>> x = torch.randn(8, 3, 5, 5)
        >>> usual = nn.BatchNorm2d(3, track_running_stats=False)
        >>> torch.allclose(TaskNorm(3)(x), usual(x), atol=1e-5)
        True
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return images [B, C, H, W] normalized."""
        if is_plain(images):
            return self._usual(images)
        if self.film is not None:
            mean, inverse = _Moments.apply(images)  # type: ignore[no-untyped-call]
            weight, shift = self._coefficients(mean, inverse)
            scale = weight * inverse
            return torch.addcmul(_wide(shift - mean * scale), images, _wide(scale))
        count, channels, height, width = images.shape
        rows = _rows(images)
        normal: Tensor = _Norm.apply(rows, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return normal.view(count, height, width, channels).permute(0, 3, 1, 2)


@final
class PooledNorm(_Scaled):
    """`TaskNorm`, ReLU and 2x2 max pooling in one.

    A rising line and a ReLU commute with the maximum, a falling line turns it into the minimum.

    Args:
        channels: the second dimension of the inputs.
        film: whether FiLM stands between the norm and the ReLU.
        task: width of the task's vector that FiLM sees; 0 for the mean before the norm.

    Examples:
        >>> x = torch.randn(8, 3, 6, 6)
        >>> parts = nn.Sequential(TaskNorm(3), nn.ReLU(), nn.MaxPool2d(2))
        >>> torch.allclose(PooledNorm(3)(x), parts(x), atol=1e-5)
        True
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return images [B, C, H, W] normalized, rectified and pooled, [B, C, H/2, W/2]."""
        if is_plain(images):
            return F.max_pool2d(self._usual(images).relu(), 2)
        mean, inverse = _Moments.apply(images)  # type: ignore[no-untyped-call]
        weight, shift = self._coefficients(mean, inverse)
        scale = weight * inverse
        pooled = _extremes(images, weight.detach() < 0)
        return torch.addcmul(_wide(shift - mean * scale), pooled, _wide(scale)).relu()


def _extremes(images: Tensor, lowest: Tensor) -> Tensor:
    """Return the largest pixel of each 2x2 square, the smallest for the channels in `lowest`."""
    if not bool(lowest.any()):
        return F.max_pool2d(images, 2)
    sign = _wide(1.0 - 2.0 * lowest.to(images.dtype))
    return F.max_pool2d(images * sign, 2) * sign


def _wide(channels: Tensor) -> Tensor:
    return channels[:, None, None]


@final
class _Moments(torch.autograd.Function):
    """mean and r = 1/√(variance + ε) of each channel of images [B, C, H, W]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance = torch.batch_norm_update_stats(x, None, None, 0.0)
        inverse = (variance + EPSILON).rsqrt()
        ctx.save_for_backward(x, mean, inverse)
        return mean, inverse

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        x, mean, inverse = ctx.saved_tensors
        found: Tensor = _MomentsBackward.apply(  # type: ignore[no-untyped-call]
            *gradients, x, mean.detach(), inverse.detach()
        )
        return found


@final
class _MomentsBackward(torch.autograd.Function):
    """g_x = (g_mean - r³·g_r·(x - mean)) / M, over M pixels of a channel."""

    @staticmethod
    def forward(
        ctx: Any, to_mean: Tensor, to_inverse: Tensor, x: Tensor, mean: Tensor, inverse: Tensor
    ) -> Tensor:
        ctx.save_for_backward(to_inverse, x, mean, inverse)
        count = x.numel() // len(mean)
        slope = -(inverse**3) * to_inverse / count
        return torch.addcmul(_wide(to_mean / count - slope * mean), x, _wide(slope))

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        to_inverse, x, mean, inverse = ctx.saved_tensors
        (v,), count = cotangents, x.numel() // len(mean)
        mean_v, mean_vx = _mean(_rows(v)), _mean(_rows(v * x))
        along = mean_vx - mean_v * mean
        # r depends on x too: dr/dx = -r³·(x - mean) / M.
        by_v = -(inverse**3) * to_inverse / count
        by_x = 3 * inverse**5 * to_inverse * along / count
        to_x = torch.addcmul(_wide(-by_v * mean_v - by_x * mean), v, _wide(by_v))
        to_x.addcmul_(x, _wide(by_x))
        return mean_v, -(inverse**3) * along, to_x, None, None


def _rows(images: Tensor) -> Tensor:
    """Return images [B, C, H, W] as pixels [M, C]; a view where the channels are last in memory."""
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])


def _mean(rows: Tensor) -> Tensor:
    # A product with ones is several times as fast as a sum over the first dimension.
    return (rows.new_ones(len(rows)) @ rows) / len(rows)


def _normalized(rows: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
    return (rows - mean).mul_(inverse)


@final
class _Norm(torch.autograd.Function):
    """y = w·x̂ + b with x̂ = (x - mean)·r and r = 1/√(variance + ε), for rows x [M, C]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        mean = _mean(x)
        centered = x - mean
        inverse = (_mean(centered.square()) + EPSILON).rsqrt()
        ctx.save_for_backward(x, weight, mean, inverse)
        return torch.addcmul(bias, centered.mul_(inverse), weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight, mean, inverse = ctx.saved_tensors
        found: tuple[Tensor, Tensor, Tensor] = _NormBackward.apply(  # type: ignore[no-untyped-call]
            gradients[0], x, weight, mean.detach(), inverse.detach()
        )
        return found


@final
class _NormBackward(torch.autograd.Function):
    """The gradients of `_Norm`: g_x = w·r·P(g) with P(v) = v - mean(v) - x̂·mean(v·x̂).

    P is linear and its own transpose, which the second derivatives below rest on.
    """

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, x: Tensor, weight: Tensor, mean: Tensor, inverse: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        normal = _normalized(x, mean, inverse)
        mean_g, mean_gx = _mean(g), _mean(g * normal)
        by_x = torch.addcmul(g, normal, -mean_gx).sub_(mean_g).mul_(weight * inverse)
        ctx.save_for_backward(g, x, weight, mean, inverse, mean_g, mean_gx)
        return by_x, mean_gx * len(g), mean_g * len(g)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        g, x, weight, mean, inverse, mean_g, mean_gx = ctx.saved_tensors
        v, by_weight, by_bias = cotangents
        normal, scale = _normalized(x, mean, inverse), weight * inverse
        mean_v, mean_vx = _mean(v), _mean(v * normal)
        to_g = torch.addcmul(v, normal, -mean_vx).sub_(mean_v).mul_(scale)
        to_g = to_g.addcmul_(normal, by_weight).add_(by_bias)
        # Σ v·P(g), of which the derivatives by w and by r are multiples.
        along = (_mean(v * g) - mean_v * mean_g - mean_vx * mean_gx) * len(g)
        # By x̂ as if it were free, then back through the normalization, which also moves r.
        free = torch.addcmul(g * (by_weight - scale * mean_vx), v, -scale * mean_gx)
        mean_f, mean_fx = _mean(free), _mean(free * normal)
        moved = mean_fx + weight * along * inverse / len(g)
        to_x = torch.addcmul(free, normal, -moved).sub_(mean_f).mul_(inverse)
        return to_g, to_x, along * inverse, None, None
