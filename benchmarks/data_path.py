"""Batches of 128 images a second, against PyTorch's DataLoader with 2 workers in the same run.

    python benchmarks/data_path.py [--quick] [--json PATH]

Images are drawn at random in the shapes of MNIST and CIFAR-10, held in memory as bytes on the
peer's side, as most training scripts have them. The peer reads, crops, flips and standardizes image
by image, as torchvision's transforms do, in persistent workers, and stacks what they give. Both
sides crop (padding 4) and flip. An epoch is drawn on each side in turns.
"""

import statistics
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from harness import Report, parse_arguments, seconds
from lossforge.tasks import Batches, Split
from lossforge.tasks.augmentation import CropAndFlip

BATCH = 128
SHAPES = {"MNIST": (1, 28, 28), "CIFAR-10": (3, 32, 32)}
UNIT = "seconds a batch, below 1 is better"


class Pictures(Dataset[Any]):
    """Images one by one: read, cropped, mirrored, standardized."""

    def __init__(self, pixels: Tensor, labels: Tensor, padding: int):
        self.pixels, self.labels, self.padding = pixels, labels, padding

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        image = self.pixels[row].float().div_(255)
        if self.padding:
            _, height, width = image.shape
            padded = F.pad(image, (self.padding,) * 4)
            top, left = torch.randint(0, 2 * self.padding + 1, (2,)).tolist()
            image = padded[:, top : top + height, left : left + width]
            if torch.rand(1) < 0.5:
                image = image.flip(-1)
        return (image - 0.5) / 0.25, int(self.labels[row])


def peer_epoch(pixels: Tensor, labels: Tensor, padding: int) -> Callable[[], object]:
    loader = DataLoader(
        Pictures(pixels, labels, padding),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=2,
        persistent_workers=True,
    )

    def epoch() -> None:
        for _ in loader:
            pass

    return epoch


def our_epoch(pixels: Tensor, labels: Tensor, padding: int) -> Callable[[], object]:
    inputs = pixels.float().div_(255).sub_(0.5).div_(0.25)
    split = Split(inputs, labels, torch.arange(len(labels)))
    augment = CropAndFlip(padding) if padding else None
    batches = Batches(split, BATCH, torch.Generator().manual_seed(0), augment)

    def epoch() -> None:
        for _ in range(len(split) // BATCH):
            batches.draw()

    return epoch


def main() -> None:
    arguments = parse_arguments(__doc__ or "")
    rows, repeats = (6400, 3) if arguments.quick else (38400, 5)
    report = Report()
    for name, shape in SHAPES.items():
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (rows, *shape), dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, 10, (rows,), generator=generator)
        for padding, what in ((4, "crop and flip"), (0, "no augmentation")):
            ours, peer = (build(pixels, labels, padding) for build in (our_epoch, peer_epoch))
            ours(), peer()
            turns = [(seconds(ours), seconds(peer)) for _ in range(repeats)]
            per_epoch = rows // BATCH
            report.note("ours", per_epoch / statistics.median(t[0] for t in turns), "batches/s")
            report.note("peer", per_epoch / statistics.median(t[1] for t in turns), "batches/s")
            ratio = statistics.median(a / b for a, b in turns)
            report.add(f"{name}, {what}", "DataLoader, 2 workers", ratio, UNIT, "0.1")
    report.save(arguments.json)


if __name__ == "__main__":
    main()
