"""Residual blocks of two 3x3 convolutions, and stages of them."""

from collections.abc import Callable
from typing import final

from torch import Tensor, nn
from torch.nn.functional import relu

from lossforge.models.pictures import he_convolution

Block = Callable[[int, int, int], nn.Module]
"""Constructs a block from its channels before and after and its stride."""


def stages(block: Block, inputs: int, plan: list[tuple[int, int]]) -> list[nn.Module]:
    """Return blocks in stages; every stage but the first halves the image.

    Args:
        block: constructs one.
        inputs: channels before the first.
        plan: channels and number of blocks of each stage.
    """
    blocks = []
    for stage, (outputs, count) in enumerate(plan):
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            blocks.append(block(inputs, outputs, stride))
            inputs = outputs
    return blocks


@final
class BasicBlock(nn.Module):
    """Convolution, norm, ReLU, convolution, norm, plus the input, ReLU (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.first = he_convolution(inputs, outputs, 3, stride)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = he_convolution(outputs, outputs, 3)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                he_convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
            )

    def forward(self, images: Tensor) -> Tensor:
        residue = relu(self.first_norm(self.first(images)))
        residue = self.second_norm(self.second(residue))
        return relu(residue + self.shortcut(images))


@final
class PreActivationBlock(nn.Module):
    """Norm and ReLU before each convolution; the sum is left as it is (He et al. 2016b).

    Args:
        inputs: channels before.
        outputs: channels after.
        stride: of the first convolution.
        dropout: share dropped between the convolutions (Zagoruyko & Komodakis 2016).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float = 0.0):
        super().__init__()
        self.first_norm = nn.BatchNorm2d(inputs)
        self.first = he_convolution(inputs, outputs, 3, stride)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.second = he_convolution(outputs, outputs, 3)
        self.shortcut: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.shortcut = he_convolution(inputs, outputs, 1, stride)

    def forward(self, images: Tensor) -> Tensor:
        active = relu(self.first_norm(images))
        kept = images if self.shortcut is None else self.shortcut(active)
        residue = relu(self.second_norm(self.first(active)))
        summed: Tensor = self.second(self.dropout(residue)) + kept
        return summed
