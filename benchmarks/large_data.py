"""Memory of a search and a training on more data than memory is to hold, against what they take.

    python benchmarks/large_data.py [--quick] [--json PATH]

An iterable data set draws 2 GB of images (--quick: 200 MB) whose class a network can learn; it is
read once, a quarter of the inputs may stay in memory, and the rest goes to a temporary file.
Then a small search and a training of one epoch run on the task, with a network of one layer. The
ratio is the peak of the process's memory over what it was before the data, to the size of the
inputs; the peer is a tensor of them.
"""

import resource
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

import lossforge as lf
from harness import Report, parse_arguments
from lossforge.tasks import Task

SHAPE = (3, 32, 32)
ROW = 4 * 3 * 32 * 32
CLASSES = 4
UNIT = "peak memory over the inputs' size, below 1 is better"


class Images(IterableDataset[tuple[Tensor, int]]):
    """Noise around one of four patterns."""

    def __init__(self, rows: int):
        self.rows = rows

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        generator = torch.Generator().manual_seed(0)
        patterns = torch.randn(CLASSES, *SHAPE, generator=generator)
        for row in range(self.rows):
            noise = torch.randn(SHAPE, generator=generator)
            yield 0.1 * patterns[row % CLASSES] + noise, row % CLASSES


def peak() -> int:
    """Return the greatest memory that the process had so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Print the memory that the inputs took."""
    arguments = parse_arguments(__doc__)
    size = 2 * 10**8 if arguments.quick else 2 * 10**9
    report = Report()
    lf.train("digits", model="mlp", steps=3, progress=False)  # what everything else takes
    before = peak()
    task = Task.from_datasets(Images(size // ROW), name="images", memory=size // 4)
    small = {"population": 4, "generations": 1, "fitness_steps": 20, "compare_steps": 20}
    small |= {"compare_seeds": 2, "rivals": False}
    lf.search("random", task, "mlp:width=16", progress=False, **small)
    epoch = len(task.train) // 128
    trained = lf.train(task, model="mlp:width=16", steps=epoch, check_every=epoch, progress=False)
    taken = peak() - before
    told = f"{size / 1e9:.1f} GB of images, test error {trained.result['test']:.3f}"
    report.note("peak memory for data", taken / 1e9, "GB")
    report.add(told, "inputs in memory", taken / size, UNIT, "0.75")
    report.save(arguments.json)


if __name__ == "__main__":
    main()
