"""Random crops and flips of a batch at once, on its device."""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from lossforge.validation import require_in_range


@final
@dataclass(frozen=True)
class CropAndFlip:
    """Crop images at a random place of their zero-padded selves, and mirror half of them.

    Zero is the mean of standardized channels.

    Args:
        padding: pixels on every side.
        flip: whether half of the images are mirrored.

    Examples:
        >>> images = torch.randn(5, 3, 32, 32)
        >>> CropAndFlip()(images, torch.Generator().manual_seed(0)).shape
        torch.Size([5, 3, 32, 32])
    """

    padding: int = 4
    flip: bool = True

    def __post_init__(self) -> None:
        require_in_range("padding", self.padding, 0)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return changed images [B, C, H, W]; each is moved and mirrored on its own.

        Args:
            images: [B, C, H, W].
            generator: of the CPU.
        """
        count = len(images)
        places = torch.randint(2 * self.padding + 1, (2, count), generator=generator)
        mirrored = torch.rand(count, generator=generator) < (0.5 if self.flip else -1.0)
        change = _changed_by_numpy if images.device.type == "cpu" else _changed_by_torch
        return change(images, self.padding, places, mirrored)


def _changed_by_numpy(images: Tensor, padding: int, places: Tensor, mirrored: Tensor) -> Tensor:
    """Copy each image's window row by row: on a CPU two to three times as fast as by PyTorch."""
    count, channels, height, width = images.shape
    pixels = images.numpy()
    framed = np.zeros(
        (count, channels, height + 2 * padding, width + 2 * padding), dtype=pixels.dtype
    )
    inner = slice(padding, padding + height), slice(padding, padding + width)
    framed[:, :, *inner] = pixels
    changed = np.empty((count, channels, height, width), dtype=pixels.dtype)
    top, left = places.numpy()
    flipped = mirrored.numpy()
    for rows, view, start in (
        (np.flatnonzero(~flipped), framed, left),
        # The window of the mirrored frame that mirrors the window at `left`.
        (np.flatnonzero(flipped), framed[..., ::-1], 2 * padding - left),
    ):
        windows = sliding_window_view(view, (height, width), axis=(2, 3))
        changed[rows] = windows[rows, :, top[rows], start[rows]]
    return torch.from_numpy(changed)


def _changed_by_torch(images: Tensor, padding: int, places: Tensor, mirrored: Tensor) -> Tensor:
    """Do the same on any device."""
    count, _, height, width = images.shape
    top, left = places.to(images.device)
    # Every crop that there is, as a view: one indexed copy takes the ones that were drawn.
    windows = F.pad(images, (padding,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    cropped = windows[torch.arange(count, device=images.device), :, top, left]
    rows = mirrored.nonzero().flatten().to(images.device)
    return cropped.index_copy_(0, rows, cropped[rows].flip(-1))
