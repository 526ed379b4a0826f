"""Segmentation: which pixels belong to even digits, which to odd ones (pictures of real digits).

Each picture is composed of two handwritten digits (scikit-learn's, 8 by 8) at random places on a
noisy ground of 16 by 16 pixels; a pixel with ink has the class of its digit. No digit is in two
splits. Measured by the mean intersection over union, which no loss for training computes.
"""

import numpy as np
import torch
from protocol import SMALL, arguments, search
from sklearn.datasets import load_digits
from torch import nn

from lossforge.tasks import Classification, Split, Task

SIZE, INK = 16, 6
ROWS = (600, 200, 400)


class Network(nn.Sequential):
    """Four convolutions that see 13 by 13 pixels."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        for channels, dilation in ((1, 1), (12, 2), (12, 2)):
            layers += [nn.Conv2d(channels, 12, 3, padding=dilation, dilation=dilation), nn.ReLU()]
        super().__init__(*layers, nn.Conv2d(12, 3, 3, padding=1))


def pictures(numbers: np.ndarray, count: int, draw: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return pictures and the class of each pixel, composed of some of the digits."""
    ground = draw.uniform(0, 5, (count, SIZE, SIZE)).astype(np.float32)
    classes = np.zeros((count, SIZE, SIZE), np.int64)
    for picture, labels in zip(ground, classes, strict=True):
        for column in (0, 8):
            number = draw.choice(numbers)
            top, left = draw.integers(0, 9), column + draw.integers(-column // 8, 1 - column // 8)
            place = np.s_[top : top + 8, left : left + 8]
            ink = digits.images[number]
            picture[place] = np.maximum(picture[place], ink)
            labels[place][ink >= INK] = 1 + digits.target[number] % 2
    return ground[:, None] / 16, classes


given = arguments()
digits = load_digits()
draw = np.random.default_rng(given.seed)
dealt = np.split(draw.permutation(len(digits.target)), (1000, 1300))
splits, first = [], 0
for numbers, rows in zip(dealt, ROWS, strict=True):
    inputs, labels = map(torch.from_numpy, pictures(numbers, rows, draw))
    splits.append(Split(inputs - 0.2, labels, torch.arange(first, first + rows)))
    first += rows
task = Task("pixels", Classification(), 3, *splits, classes=("ground", "even", "odd"))
search(task.with_metric("miou"), Network, given, learning_rate=0.03, **SMALL)
