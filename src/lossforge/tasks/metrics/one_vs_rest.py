"""Classes and labels, each against what it is not: what metrics of classifiers are made of."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from lossforge.tasks.kinds import MARGIN_SLOPE, Kind, MultiLabel
from lossforge.tasks.rows import Rows


@final
@dataclass(frozen=True)
class Problem:
    """One class against the others, or one label against its absence.

    Attributes:
        margins: by how much the class's logit exceeds the greatest other one, [P, M]; above 0, it
            is predicted.
        log_odds: of the class, [P, M].
        truth: whether the rows are of the class, [M].
        size: root mean square of the centered outputs, [P, 1].
    """

    margins: Tensor
    log_odds: Tensor
    truth: Tensor
    size: Tensor

    def decisions(self, *, smooth: bool) -> Tensor:
        """Return 1 for rows that are predicted to be of the class and 0 for others, [P, M].

        Args:
            smooth: the sigmoid of the relative margin in their place, as in
                `lossforge.tasks.kinds.Labels.smooth_scores`.
        """
        if not smooth:
            return (self.margins > 0).double()
        tiny = torch.finfo(self.size.dtype).tiny
        return torch.sigmoid(MARGIN_SLOPE * self.margins / self.size.clamp_min(tiny)).double()


@final
@dataclass(frozen=True)
class Counts:
    """Rows of each network and problem by truth and decision, each [P, G].

    Attributes:
        hits: of the class, and predicted to be.
        false_alarms: not of the class, but predicted to be.
        misses: of the class, but not predicted to be.
        rejections: neither.
    """

    hits: Tensor
    false_alarms: Tensor
    misses: Tensor
    rejections: Tensor

    @classmethod
    def of(cls, problems: list[Problem], *, smooth: bool) -> "Counts":
        """Return the counts of several problems."""
        found = []
        for problem in problems:
            said, truth = problem.decisions(smooth=smooth), problem.truth.double()
            hits, alarms = said @ truth, said @ (1 - truth)
            found.append((hits, alarms, truth.sum() - hits, (1 - truth).sum() - alarms))
        return cls(*(torch.stack(each, -1) for each in zip(*found, strict=True)))

    def mirrored(self) -> "Counts":
        """Return the counts of the absence of each class."""
        return Counts(self.rejections, self.misses, self.false_alarms, self.hits)


def problems_of(kind: Kind, outputs: Tensor, targets: Tensor) -> list[Problem]:
    """Return the problems that a split consists of, without rows that do not count.

    One for each label; one for each class where there are more than two, and else that of the
    second class. Probabilities as targets count as their greatest class.

    Args:
        kind: of the task.
        outputs: for all rows, [P, N, C, ...].
        targets: of these rows.
    """
    rows = kind.rows(outputs, targets)
    if isinstance(kind, MultiLabel):
        return [_binary(rows, of_label) for of_label in _by_label(rows)]
    counted = torch.ones_like(_labels(rows), dtype=torch.bool)
    if rows.ignored is not None:
        counted = ~rows.ignored
    if rows.outputs.shape[-1] <= 2:
        return [_binary(rows, counted)]
    return _by_class(rows, counted)


def mean_over(values: Tensor, defined: Tensor) -> Tensor:
    """Return the mean over the problems where values [P, G] are defined; NaN where nowhere."""
    return values.where(defined, 0).sum(-1) / defined.sum(-1)


def _labels(rows: Rows) -> Tensor:
    if rows.targets.dim() == 1:
        return rows.targets
    if rows.targets.shape[1] == 1:
        return (rows.targets[:, 0] > 0.5).long()
    return rows.targets.argmax(1)


def _by_label(rows: Rows) -> list[Tensor]:
    """Return for each label which rows are of it and count."""
    labels = rows.shape[1] if len(rows.shape) > 1 else 1
    number = torch.arange(labels, device=rows.outputs.device)
    number = number.view(-1, *[1] * max(0, len(rows.shape) - 2)).expand(rows.shape).reshape(-1)
    counted = torch.ones_like(number, dtype=torch.bool) if rows.ignored is None else ~rows.ignored
    return [(number == label) & counted for label in range(labels)]


def _binary(rows: Rows, some: Tensor) -> Problem:
    outputs = rows.outputs[..., some, :]
    z = outputs[..., 0] if outputs.shape[-1] == 1 else outputs[..., 1] - outputs[..., 0]
    size = z if outputs.shape[-1] == 1 else outputs - outputs.mean(-1, keepdim=True)
    size = size.square().flatten(1).mean(1, keepdim=True).sqrt()
    return Problem(z, z, _labels(rows)[some] == 1, size)


def _by_class(rows: Rows, counted: Tensor) -> list[Problem]:
    outputs, labels = rows.outputs[..., counted, :], _labels(rows)[counted]
    size = (outputs - outputs.mean(-1, keepdim=True)).square().flatten(1)
    size = size.mean(1, keepdim=True).sqrt()
    first = outputs.argmax(-1)
    best = outputs.topk(2, -1).values
    found = []
    for number in range(outputs.shape[-1]):
        own = outputs[..., number]
        is_first = first == number
        margins = own - torch.where(is_first, best[..., 1], best[..., 0])
        # Of classes that are equal the first is predicted, as argmax does.
        margins = margins.where(~(is_first & (margins == 0)), torch.finfo(margins.dtype).tiny)
        others = torch.cat([outputs[..., :number], outputs[..., number + 1 :]], -1).logsumexp(-1)
        found.append(Problem(margins, own - others, labels == number, size))
    return found
