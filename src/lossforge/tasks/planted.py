"""Tasks on which the default loss is not the best: what any search should find out.

Training rows are corrupted; test rows are clean, so that a loss is judged by what it is for.
Validation rows are clean, too, except in the tasks whose name ends in ``_corrupted_valid``: there
they are corrupted as training rows are, which is what people have who have one noisy data set. Both
forms of a task share their training and test rows. Inputs are standard normal; regression targets
are standardized by the clean function.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lossforge.randomness import torch_generator
from lossforge.tasks.kinds import Classification, Kind, Regression
from lossforge.tasks.task import Split, Task

ROWS = {"train": 600, "valid": 300, "test": 1000}
FEATURES = 8
CLASSES = 4

KNOWN_BEST = {
    "planted_student_t": "huber:delta=0.3",
    "planted_outliers": "huber:delta=0.3",
    "planted_label_noise": "label_smoothing:smoothing=0.5",
}
"""A loss that beats the default on the task (tests/tasks/test_planted.py holds it to that). Under
class imbalance no loss that treats all classes alike is known to beat a well-tuned default."""

Parts = tuple[str, ...]
"""names of the splits that are corrupted"""

Corruption = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""Maps inputs and clean targets of rows to what is learned from."""

CLEAN_VALID: Parts = ("train",)
CORRUPTED_VALID: Parts = ("train", "valid")


def student_t(split_seed: int, corrupted: Parts = CLEAN_VALID) -> Task:
    """Regression with Student-t noise of 2 degrees of freedom, whose variance is infinite."""

    def corrupt(x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        normal = torch.randn(y.shape, generator=generator)
        # Half a chi-square of 2 degrees of freedom is exponential.
        half = -torch.rand(y.shape, generator=generator).clamp_min(1e-12).log()
        return x, y + 0.5 * normal / half.sqrt()

    return _regression("planted_student_t", split_seed, corrupt, corrupted)


def outliers(split_seed: int, corrupted: Parts = CLEAN_VALID) -> Task:
    """Regression where a tenth of the targets lies far above the truth."""

    def corrupt(x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        hit = torch.rand(y.shape, generator=generator) < 0.1
        noise = 0.1 * torch.randn(y.shape, generator=generator)
        return x, y + noise + 10 * hit

    return _regression("planted_outliers", split_seed, corrupt, corrupted)


def label_noise(split_seed: int, corrupted: Parts = CLEAN_VALID) -> Task:
    """Classification where a fifth of the labels is drawn at random."""

    def corrupt(x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        hit = torch.rand(y.shape, generator=generator) < 0.2
        drawn = torch.randint(CLASSES, y.shape, generator=generator)
        return x, torch.where(hit, drawn, y)

    return _classification("planted_label_noise", split_seed, corrupt, corrupted)


def imbalance(split_seed: int, corrupted: Parts = CLEAN_VALID) -> Task:
    """Classification where one of four classes has nine tenths of the training rows alone."""

    def corrupt(x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        kept = (y == 0) | (torch.rand(y.shape, generator=generator) < 1 / 27)
        return x[kept], y[kept]

    return _classification("planted_imbalance", split_seed, corrupt, corrupted, more=3)


def student_t_corrupted_valid(split_seed: int) -> Task:
    """planted_student_t with Student-t noise in the validation rows as well."""
    return student_t(split_seed, CORRUPTED_VALID)


def outliers_corrupted_valid(split_seed: int) -> Task:
    """planted_outliers with outliers among the validation rows as well."""
    return outliers(split_seed, CORRUPTED_VALID)


def label_noise_corrupted_valid(split_seed: int) -> Task:
    """planted_label_noise with random labels among the validation rows as well."""
    return label_noise(split_seed, CORRUPTED_VALID)


def imbalance_corrupted_valid(split_seed: int) -> Task:
    """planted_imbalance with the validation rows as imbalanced as the training rows."""
    return imbalance(split_seed, CORRUPTED_VALID)


def _regression(name: str, split_seed: int, corrupt: Corruption, corrupted: Parts) -> Task:
    weights = torch.randn(FEATURES, 3, generator=torch_generator(0, name))

    def truth(x: Tensor) -> Tensor:
        hidden = x @ weights / math.sqrt(FEATURES)
        return (hidden[:, :1] + hidden[:, 1:2].tanh() * hidden[:, 2:]).float()

    return _task(name, Regression(), 1, split_seed, truth, corrupt, corrupted)


def _classification(
    name: str, split_seed: int, corrupt: Corruption, corrupted: Parts, more: int = 1
) -> Task:
    centers = 1.2 * torch.randn(CLASSES, FEATURES, generator=torch_generator(0, name))

    def truth(x: Tensor) -> Tensor:
        return (x @ centers.T).argmax(1)

    return _task(name, Classification(), CLASSES, split_seed, truth, corrupt, corrupted, more)


def _task(
    name: str,
    kind: Kind,
    outputs: int,
    split_seed: int,
    truth: Callable[[Tensor], Tensor],
    corrupt: Corruption,
    corrupted: Parts,
    more: int = 1,
) -> Task:
    splits, first = {}, 0
    for part, rows in ROWS.items():
        generator = torch_generator(split_seed, name, part)
        count = rows * more if part == "train" else rows
        inputs = torch.randn(count, FEATURES, generator=generator)
        targets = truth(inputs)
        if part in corrupted:
            inputs, targets = corrupt(inputs, targets, generator)
        splits[part] = Split(inputs, targets, torch.arange(first, first + len(inputs)))
        first += len(inputs)
    name = f"{name}_corrupted_valid" if "valid" in corrupted else name
    return Task(name, kind, outputs, splits["train"], splits["valid"], splits["test"])
