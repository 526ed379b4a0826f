"""Random crops and flips of a batch at once, on its device."""

from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
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
        count, _, height, width = images.shape
        places = torch.randint(2 * self.padding + 1, (2, count, 1), generator=generator)
        mirrored = torch.rand(count, 1, generator=generator) < (0.5 if self.flip else -1.0)
        rows = places[0] + torch.arange(height)
        columns = torch.arange(width).expand(count, -1)
        columns = places[1] + torch.where(mirrored, width - 1 - columns, columns)
        padded = F.pad(images, (self.padding,) * 4).permute(0, 2, 3, 1)
        rows, columns = rows.to(images.device), columns.to(images.device)
        which = torch.arange(count, device=images.device)[:, None, None]
        return padded[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
