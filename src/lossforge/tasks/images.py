"""Images from Parquet files in the hub's schema: MNIST, Fashion-MNIST, CIFAR and SVHN.

The official test split is the test split; a tenth of the training rows, stratified by class,
validates. Channels are standardized by the training rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from lossforge.errors import DataError, one_line
from lossforge.extras import require_extra
from lossforge.tasks.augmentation import CropAndFlip
from lossforge.tasks.folders import find_file
from lossforge.tasks.image_file import open_image
from lossforge.tasks.kinds import Classification
from lossforge.tasks.splits import Rows, split_rows
from lossforge.tasks.task import Split, Task

VALIDATION_SHARE = 0.1

MOST_CLASSES = 100_000


@final
@dataclass(frozen=True)
class ImageSet:
    """What is particular to a data set.

    Attributes:
        name: of its folder.
        about: what it is, in a line.
        source: where it can be had.
        image: column of the encoded images.
        label: column of the labels.
        augment: of training batches, where it is customary.
    """

    name: str
    about: str
    source: str
    image: str = "image"
    label: str = "label"
    augment: CropAndFlip | None = None

    def load(self, split_seed: int, data_dir: str | Path | None = None) -> Task:
        """Return the task.

        Raises:
            DataError: files are missing or damaged, or images differ in size.
            MissingPackageError: the extra `images` is not installed.
        """
        require_extra("images", self.name)
        images, labels, counts = [], [], []
        for part in ("train", "test"):
            pairs = [self._read(path) for path in self._files(data_dir, part)]
            images += [image for image, _ in pairs]
            labels += [label for _, label in pairs]
            counts.append(sum(len(label) for _, label in pairs))
        if len({image.shape[1:] for image in images}) > 1:
            raise DataError(f"{self.name} holds images of unequal size; bring them to one")
        labels_of_all = np.concatenate(labels)
        parts = official_parts(labels_of_all, counts[0], split_seed)
        classes = tuple(str(label) for label in range(int(labels_of_all.max()) + 1))
        pixels = np.concatenate(images)
        return image_task(self.name, pixels, labels_of_all, parts, classes, self.augment)

    def _files(self, data_dir: str | Path | None, part: str) -> list[Path]:
        return find_file(data_dir, self.name, f"{part}-*.parquet", self.source)

    def _read(self, path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        import pandas as pd

        try:
            table = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            reason = one_line(error)[:200]
            raise DataError(f"{path} is no whole Parquet file ({reason}); get it anew") from None
        for column in (self.image, self.label):
            if column not in table:
                raise DataError(
                    f"{path} has no column {column!r}, but {', '.join(map(str, table.columns))}; "
                    f"{self.source} has it"
                )
        if table.empty:
            raise DataError(f"{path} holds no rows; get it anew")
        decoded = [_decode(cell, path, row) for row, cell in enumerate(table[self.image])]
        if len({image.shape for image in decoded}) > 1:
            raise DataError(f"{path} holds images of unequal size; bring them to one")
        return np.stack(decoded), check_labels(table[self.label].to_numpy(), f"{path}")


def official_parts(labels: NDArray[np.int64], training: int, split_seed: int) -> tuple[Rows, ...]:
    """Return rows for training and validation from the first `training`; the others test."""
    train, valid = split_rows(
        labels[:training], split_seed, (1 - VALIDATION_SHARE, VALIDATION_SHARE)
    )
    return train, valid, np.arange(training, len(labels))


def check_labels(labels: NDArray[Any], where: str) -> NDArray[np.int64]:
    """Return labels that are whole numbers from 0, of which there are not too many.

    Raises:
        DataError: they are not.
    """
    whole = labels.dtype.kind in "iu" or (
        labels.dtype.kind == "f" and bool((labels % 1 == 0).all())
    )
    if not whole or labels.min() < 0 or labels.max() >= MOST_CLASSES:
        raise DataError(
            f"the labels of {where} are not whole numbers from 0 to {MOST_CLASSES - 1} in every "
            "row; mend them"
        )
    return labels.astype(np.int64)


def image_task(
    name: str,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    parts: tuple[Rows, ...],
    classes: tuple[str, ...],
    augment: CropAndFlip | None = None,
) -> Task:
    """Return the task of images [N, C, H, W], channels standardized by the training rows.

    Args:
        name: the task's.
        images: from 0 to 255.
        labels: [N], from 0.
        parts: rows of the training, validation and test split.
        classes: names of the labels.
        augment: of training batches.
    """
    pixels = torch.from_numpy(images)
    known = pixels[torch.from_numpy(parts[0])].float()
    mean = known.mean((0, 2, 3), keepdim=True)
    deviation = known.std((0, 2, 3), keepdim=True).clamp_min(1e-6)
    del known

    def split(rows: Rows) -> Split:
        indices = torch.from_numpy(rows)
        inputs = pixels[indices].float().sub_(mean).div_(deviation)
        return Split(inputs, torch.from_numpy(labels[rows]), indices)

    train, valid, test = (split(rows) for rows in parts)
    return Task(
        name, Classification(), len(classes), train, valid, test, classes=classes, augment=augment
    )


def _decode(cell: Any, path: Path, row: int) -> NDArray[np.uint8]:
    """Return [channels, height, width]."""
    content = cell.get("bytes") if isinstance(cell, Mapping) else None
    if not isinstance(content, bytes):
        raise DataError(f"{path}, row {row}: no image, but a {type(content or cell).__name__}")
    return channels_first(np.asarray(open_image(content, f"{path}, row {row}")))


def channels_first(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return [channels, height, width] of a decoded image."""
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


_COLORED = CropAndFlip(padding=4, flip=True)

SETS = {
    images.name: images
    for images in (
        ImageSet("mnist", "70,000 handwritten digits [1, 28, 28]", "the hub's ylecun/mnist"),
        ImageSet(
            "fashion_mnist",
            "70,000 articles of clothing [1, 28, 28]",
            "the hub's zalando-datasets/fashion_mnist",
        ),
        ImageSet(
            "cifar10",
            "60,000 photographs [3, 32, 32] of 10 classes",
            "the hub's uoft-cs/cifar10",
            image="img",
            augment=_COLORED,
        ),
        ImageSet(
            "cifar100",
            "60,000 photographs [3, 32, 32] of 100 classes",
            "the hub's uoft-cs/cifar100",
            image="img",
            label="fine_label",
            augment=_COLORED,
        ),
        ImageSet(
            "svhn",
            "99,289 house numbers [3, 32, 32]",
            "the hub's ufldl-stanford/svhn (cropped_digits)",
            augment=CropAndFlip(4, flip=False),
        ),
    )
}
