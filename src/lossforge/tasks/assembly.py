"""From arrays to a task: standardized by training rows, cut into splits."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lossforge.tasks.kinds import Kind, as_kind
from lossforge.tasks.splits import Rows
from lossforge.tasks.task import Split, Task

Values = NDArray[np.float64]


def standardize(values: Values, train: Rows, axes: tuple[int, ...] = (0,)) -> Values:
    """Shift and scale to mean 0 and deviation 1 on the training rows.

    What is constant on the training rows becomes 0 on every row: a network cannot learn from it
    and must not be thrown off by it later.

    Args:
        values: [N, ...].
        train: row numbers of the training split; the only rows that statistics come from.
        axes: over what statistics are taken: (0,) for columns, (0, 2, 3) for image channels.

    Examples:
        >>> import numpy as np
        >>> values = np.array([[1.0, 5.0], [3.0, 5.0], [9.0, 7.0]])
        >>> standardize(values, train=np.array([0, 1]))
        array([[-1.,  0.],
               [ 1.,  0.],
               [ 7.,  0.]])
    """
    known = values[train]
    constant = np.ptp(known, axis=axes, keepdims=True) == 0
    deviation = np.where(constant, 1.0, known.std(axis=axes, keepdims=True))
    centered = values - known.mean(axis=axes, keepdims=True)
    return np.where(constant, 0.0, centered / deviation)


def assemble(
    name: str,
    kind: Kind | str,
    *,
    inputs: NDArray[Any],
    targets: NDArray[Any],
    parts: tuple[Rows, ...],
    classes: tuple[str, ...] = (),
    sources: Rows | None = None,
    notes: tuple[str, ...] = (),
    interchangeable: bool = True,
) -> Task:
    """Cut inputs and targets into a task.

    Regression targets are standardized by the training rows, so that an mse of 1 is what the mean
    of the training targets scores on them.

    Args:
        name: the task's.
        kind: the task's.
        inputs: [N, ...], already standardized; whole numbers for tokens.
        targets: [N] labels from 0, [N, classes] shares of classes, or [N] or [N, outputs] values.
        parts: row numbers of the training, validation and test split.
        classes: names of the labels; their number is that of the outputs.
        sources: [N] where each row stands in its source; by default its own number.
        notes: what a person should know about how the data were read.
        interchangeable: training and validation rows were dealt at random from the same rows.
    """
    outputs, scale = len(classes), tuple[float, ...]()
    kind = as_kind(kind)
    if kind.predicts_probabilities and targets.ndim > 1 and not classes:  # several labels
        wanted, outputs = kind.prepare(torch.from_numpy(targets).float()), targets.shape[1]
    elif not kind.predicts_probabilities:
        columns = targets[:, None] if targets.ndim == 1 else targets
        wanted = torch.from_numpy(standardize(columns, parts[0])).float()
        outputs, scale = columns.shape[1], tuple(columns[parts[0]].std(axis=0).tolist())
    else:
        # Shares of the classes have fractions, labels have none.
        whole = torch.from_numpy(targets)
        wanted = whole.float() if targets.ndim > 1 and whole.is_floating_point() else whole.long()
    values = torch.from_numpy(inputs)
    values = values.float() if values.is_floating_point() else values  # tokens stay whole
    train, valid, test = (
        Split(values[rows], wanted[rows], torch.from_numpy(_numbers_of(rows, sources)))
        for rows in parts
    )
    return Task(
        name,
        kind,
        outputs,
        train,
        valid,
        test,
        classes,
        target_scale=scale,
        notes=notes,
        interchangeable=interchangeable,
    )


def _numbers_of(rows: Rows, sources: Rows | None) -> Rows:
    return rows if sources is None else sources[rows]
