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
        places = torch.randint(2 * self.padding + 1, (2, count), generator=generator)
        mirrored = torch.rand(count, generator=generator) < (0.5 if self.flip else -1.0)
        top, left = places.to(images.device)
        # Every crop that there is, as a view: one indexed copy takes the ones that were drawn.
        windows = F.pad(images, (self.padding,) * 4).unfold(2, height, 1).unfold(3, width, 1)
        cropped = windows[torch.arange(count, device=images.device), :, top, left]
        rows = mirrored.nonzero().flatten().to(images.device)
        return cropped.index_copy_(0, rows, cropped[rows].flip(-1))
