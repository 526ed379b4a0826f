"""What networks for images share: the check of their inputs, and layers drawn for ReLU."""

import torch
from torch import Tensor, nn

from lossforge.validation import require


def require_images(name: str, input_shape: tuple[int, ...], smallest: int) -> tuple[int, int, int]:
    """Return channels, height and width.

    Raises:
        ConfigurationError: inputs are no images, or smaller than the network takes.
    """
    require(
        len(input_shape) == 3 and min(input_shape[1:]) >= smallest,
        f"{name} takes images [channels, height, width] of {smallest}x{smallest} or more, "
        f"not inputs of shape {list(input_shape)}; choose mlp",
    )
    channels, height, width = input_shape
    return channels, height, width


def he_convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, padding: int | None = None
) -> nn.Conv2d:
    """Return a convolution without bias, He-normal by its outputs (He et al. 2015, Eq. 14).

    Args:
        inputs: channels.
        outputs: channels.
        kernel: its side.
        stride: of the kernel.
        padding: pixels on every side; by default the size is kept at stride 1.
    """
    margin = kernel // 2 if padding is None else padding
    layer = nn.Conv2d(
        inputs, outputs, kernel, stride=stride, padding=margin, bias=False, device="meta"
    ).to_empty(device="cpu")
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


def biased_convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution with bias for a network without normalization, He-normal by inputs."""
    layer = nn.Conv2d(
        inputs, outputs, kernel, stride=stride, padding=kernel // 2, device="meta"
    ).to_empty(device="cpu")
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def normalized(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Return convolution, batch norm and ReLU."""
    return [
        he_convolution(inputs, outputs, kernel, stride),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


class GlobalMean(nn.Module):
    """The mean over an image: [B, C, H, W] to [B, C]."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean of each channel."""
        return torch.mean(images, (2, 3))
