"""What a loss does along the way from a wrong prediction to a right one.

Classification: the target's logit moves while the others stay equal, so that the target's
probability goes from 0 to 1. Regression: the prediction moves past the target. The force is how
strongly a step of gradient descent pulls the output towards the target; it should be positive.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from lossforge.analysis.nearest import gradient
from lossforge.losses import ElementwiseLoss, Loss, NeuralLoss, default_loss
from lossforge.randomness import torch_generator

POINTS = 401
LOGIT_RANGE = 12.0
CALIBRATION_DRAWS = 60
CALIBRATION_CLASSES = 3
CALIBRATION_STEPS = 400
MARGIN = 0.1
"""posteriors whose two greatest probabilities are closer than this say nothing about argmax"""


@final
@dataclass(frozen=True)
class Path:
    """A loss along the way.

    Attributes:
        position: the target's probability, or the error p - y; ascending, [N].
        value: of the loss, [N].
        force: towards the target, [N]: -dL/dz of the target's logit, or the derivative in the
            direction in which the error grows.
    """

    position: Tensor
    value: Tensor
    force: Tensor


def of_one_row(loss: Loss, classes: int) -> tuple[Loss, int]:
    """Return a loss as it is for one row by itself, and the outputs of that row.

    A loss of several labels is looked at as one of two classes.
    """
    kind = loss.kind
    return loss.for_kind(kind.row_kind), kind.row_size(classes)


def path(loss: Loss, classes: int, target: float = 0.0) -> Path:
    """Return a loss along the way.

    Args:
        loss: any.
        classes: of the outputs (classification).
        target: the value that is predicted (regression).
    """
    outputs, targets, position = _way(loss, classes, target)
    with torch.no_grad():
        value = loss.to(outputs.dtype).per_example(outputs, targets)
    slope = gradient(loss, outputs, targets)[:, 0]
    force = -slope if loss.kind.predicts_probabilities else slope * position.sign()
    return Path(position, value.flatten(), force)


def _way(loss: Loss, classes: int, target: float) -> tuple[Tensor, Tensor, Tensor]:
    if loss.kind.predicts_probabilities:
        outputs = torch.zeros(POINTS, classes, dtype=torch.double)
        outputs[:, 0] = torch.linspace(-LOGIT_RANGE, LOGIT_RANGE, POINTS, dtype=torch.double)
        return outputs, torch.zeros(POINTS, dtype=torch.long), outputs.softmax(1)[:, 0]
    sides = torch.logspace(-3, 3, POINTS // 2 + 1, dtype=torch.double)  # 1 is among them
    errors = torch.cat([-sides.flip(0), sides])[:, None]
    targets = torch.full_like(errors, target)
    return targets + errors, targets, errors[:, 0]


def learning_rate_factor(loss: Loss, classes: int) -> float:
    """Return the force at the start of training, as a multiple of the default loss's.

    Classification: at equal probabilities, against cross-entropy. Regression: at errors of one
    deviation of the targets, against squared error.
    """
    if loss.kind.predicts_probabilities:
        outputs = torch.zeros(1, classes, dtype=torch.double)
        targets = torch.zeros(1, dtype=torch.long)
    else:
        targets = torch.zeros(2, 1, dtype=torch.double)
        outputs = torch.tensor([[-1.0], [1.0]], dtype=torch.double)
    ours, theirs = (
        gradient(each, outputs, targets)[:, 0] for each in (loss, default_loss(loss.kind))
    )
    return float((ours * theirs).sum() / theirs.square().sum())


def rest_point(way: Path) -> float | None:
    """Return the target's probability from which on the loss pushes back, None where it never does.

    Label smoothing ξ comes to rest at 1 - ξ + ξ/C.
    """
    pushes = way.force > way.force.abs().max() * 1e-6
    if not bool(pushes.any()):
        return None
    last = int(pushes.nonzero().max())
    back = way.force[last + 1 :] < -way.force.abs().max() * 1e-6
    return float(way.position[last]) if bool(back.any()) else None


def is_bounded(way: Path) -> bool:
    """Return whether the force stays within its size at ordinary predictions (twice, at most)."""
    ordinary = way.position.abs() <= 3 if bool(way.position[0] < 0) else way.position > 0.01
    return bool(way.force.abs().max() <= 2 * way.force[ordinary].abs().max() + 1e-12)


def is_convex(loss: Loss, classes: int) -> bool:
    """Return whether the loss is convex in p, for each target, numerically.

    A classification loss that is not elementwise is looked at along the target's probability.
    """
    if not loss.kind.predicts_probabilities:
        p = torch.linspace(-4.0, 4.0, POINTS, dtype=torch.double)[:, None]
        curves = [
            loss.to(p.dtype).per_example(p, torch.full_like(p, target)).flatten().detach()
            for target in (-1.0, 0.0, 1.0)
        ]
    elif isinstance(loss, ElementwiseLoss | NeuralLoss):
        p = torch.linspace(0.01, 0.99, POINTS, dtype=torch.double)[:, None]
        curves = [
            loss.to(p.dtype).elementwise(torch.full_like(p, target), p)[:, 0].detach()
            for target in (0.0, 1.0)
        ]
    else:
        p_t = torch.linspace(0.01, 0.99, POINTS, dtype=torch.double)
        outputs = torch.zeros(POINTS, classes, dtype=torch.double)
        outputs[:, 0] = (p_t * (classes - 1) / (1 - p_t)).log()
        labels = torch.zeros(POINTS, dtype=torch.long)
        curves = [loss.to(outputs.dtype).per_example(outputs, labels).detach()]
    bends = [curve[2:] - 2 * curve[1:-1] + curve[:-2] for curve in curves]
    sizes = [float(curve.max() - curve.min()) for curve in curves]
    return all(
        bool((bend >= -1e-9 * max(size, 1e-9)).all())
        for bend, size in zip(bends, sizes, strict=True)
    )


@final
@dataclass(frozen=True)
class Calibration:
    """Whether the best prediction under a loss is the right one, tried on random posteriors.

    Attributes:
        agreement: share of posteriors whose likeliest class the best prediction favors.
        distortion: mean greatest difference between posterior and best prediction.
    """

    agreement: float
    distortion: float


def calibration(loss: Loss) -> Calibration:
    """Minimize the expected loss for random posteriors over three classes (Adam, two starts)."""
    draw = torch_generator(0, "posteriors")
    weights = -torch.rand(4 * CALIBRATION_DRAWS, CALIBRATION_CLASSES, generator=draw).log()
    posteriors = (weights / weights.sum(1, keepdim=True)).double()
    top = posteriors.topk(2).values
    posteriors = posteriors[top[:, 0] - top[:, 1] > MARGIN][:CALIBRATION_DRAWS]
    starts = (torch.zeros_like(posteriors), posteriors.clamp_min(1e-3).log())
    risks, found = zip(*(_minimize(loss, posteriors, start) for start in starts), strict=True)
    best = torch.where((risks[0] < risks[1])[:, None], found[0], found[1])
    agreement = (best.argmax(1) == posteriors.argmax(1)).double().mean()
    return Calibration(float(agreement), float((best - posteriors).abs().amax(1).mean()))


def _minimize(loss: Loss, posteriors: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least expected loss [N] and the prediction [N, C] that has it."""
    count, classes = posteriors.shape
    logits = start.clone().requires_grad_()
    labels = torch.arange(classes).repeat(count)
    loss = loss.to(start.dtype)
    optimizer = torch.optim.Adam([logits], 0.1)

    def risk() -> Tensor:
        values = loss.per_example(logits.repeat_interleave(classes, 0), labels)
        return (values.view(count, classes) * posteriors).sum(1)

    for step in range(CALIBRATION_STEPS):
        optimizer.zero_grad()
        total = risk().sum()
        if not total.requires_grad:
            break  # a constant
        total.backward()
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / CALIBRATION_STEPS)
        optimizer.step()
    with torch.no_grad():
        return risk(), logits.softmax(1)
