"""The losses that people wrote down: what every learned loss is measured against."""

from abc import ABC, abstractmethod
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from lossforge.losses.loss import ElementwiseLoss, Loss, Reduction
from lossforge.losses.preparation import encode_targets, full_precision, require_fit
from lossforge.losses.sparse_lsr import IGNORED, Kernel, require_kernel, sparse_lsr
from lossforge.tasks.task import Kind
from lossforge.validation import require_in_range


class Handcrafted(Loss, ABC):
    """A loss with a name and a few numbers."""

    name: ClassVar[str]
    of_kind: ClassVar[Kind]

    def __init__(self, reduction: Reduction = "mean"):
        super().__init__(self.of_kind, reduction)

    def options(self) -> dict[str, float]:
        """Return the loss's own numbers by name; none by default."""
        return {}

    def definition(self) -> dict[str, object]:
        """Return the loss as plain data."""
        return {"type": self.name, **self.options()}

    @final
    def __str__(self) -> str:
        """Return the name with its numbers, as `lossforge train --loss` takes it."""
        options = ",".join(f"{key}={value:g}" for key, value in self.options().items())
        return f"{self.name}:{options}" if options else self.name


class _Classification(Handcrafted, ABC):
    """A classification loss; a single output counts as the logit of the second of two classes."""

    of_kind: ClassVar[Kind] = "classification"

    @final
    def per_example(self, outputs: Tensor, targets: Tensor) -> Tensor:
        require_fit(targets, outputs, "classification")
        return self.from_logits(*_with_two_logits(full_precision(outputs), targets))

    @abstractmethod
    def from_logits(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example for at least two logits [B, C, ...]."""


def _with_two_logits(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    if outputs.dim() == 1 or outputs.shape[1] != 1:
        return outputs, targets
    y = encode_targets(targets, outputs, "classification")
    zero = torch.zeros_like(outputs)
    return torch.cat([zero, outputs], dim=1), torch.cat([1 - y, y], dim=1)


@final
class CrossEntropy(_Classification):
    """Cross-entropy, -log of the target's probability.

    Examples:
        >>> round(CrossEntropy()(torch.zeros(1, 2), torch.tensor([0])).item(), 4)
        0.6931
    """

    name = "cross_entropy"

    def from_logits(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets, reduction="none")


@final
class LabelSmoothing(_Classification):
    """Cross-entropy against targets that give a share `smoothing` to all classes alike.

    Source: Szegedy et al. 2016; the same numbers as PyTorch's `label_smoothing`.

    Examples:
        >>> print(LabelSmoothing(0.2))
        label_smoothing:smoothing=0.2
    """

    name = "label_smoothing"

    def __init__(self, smoothing: float = 0.1, reduction: Reduction = "mean"):
        super().__init__(reduction)
        require_in_range("smoothing", smoothing, 0, 1)
        self.smoothing = smoothing

    def options(self) -> dict[str, float]:
        return {"smoothing": self.smoothing}

    def from_logits(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets, reduction="none", label_smoothing=self.smoothing)


@final
class SparseLSR(_Classification):
    """Label smoothing by way of the target's probability alone; a drop-in for CrossEntropyLoss.

    Source: thesis, ch. 5; see `lossforge.losses.sparse_lsr`, which it calls.

    Args:
        smoothing: the share given to all classes alike, from 0 (cross-entropy) to 1.
        weight: of each class, [C]; the mean is then weighted.
        ignore_index: a label that does not count; of no effect on a single output.
        reduction: as in PyTorch.
        kernel: "torch", or "triton" on a GPU.

    Examples:
        >>> logits = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
        >>> SparseLSR(0.1)(logits, torch.tensor([0, 1]))
        tensor(0.2809)
    """

    name = "sparse_lsr"

    def __init__(
        self,
        smoothing: float = 0.1,
        *,
        weight: Tensor | None = None,
        ignore_index: int = IGNORED,
        reduction: Reduction = "mean",
        kernel: Kernel = "torch",
    ):
        super().__init__(reduction)
        require_in_range("smoothing", smoothing, 0, 1)
        require_kernel(kernel)
        self.smoothing, self.ignore_index, self.kernel = smoothing, ignore_index, kernel
        self.weight: Tensor | None
        self.register_buffer("weight", weight)

    def options(self) -> dict[str, float]:
        return {"smoothing": self.smoothing}

    def definition(self) -> dict[str, object]:
        weight = {} if self.weight is None else {"weight": self.weight.tolist()}
        ignored = {} if self.ignore_index == IGNORED else {"ignore_index": self.ignore_index}
        return {**super().definition(), **weight, **ignored}

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self._reduced(*_with_two_logits(outputs, targets), self.reduction)

    def from_logits(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self._reduced(logits, targets, "none")

    def _reduced(self, logits: Tensor, targets: Tensor, reduction: Reduction) -> Tensor:
        return sparse_lsr(
            logits,
            targets,
            self.smoothing,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=reduction,
            kernel=self.kernel,
        )


@final
class Focal(_Classification):
    """Cross-entropy weighted by (1 - p)^gamma: easy examples count for less.

    Source: Lin et al. 2017, Eq. (4), without class weights.

    Examples:
        >>> logits, label = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
        >>> bool(Focal(gamma=0.0)(logits, label) == CrossEntropy()(logits, label))
        True
    """

    name = "focal"

    def __init__(self, gamma: float = 2.0, reduction: Reduction = "mean"):
        super().__init__(reduction)
        require_in_range("gamma", gamma, 0)
        self.gamma = gamma

    def options(self) -> dict[str, float]:
        return {"gamma": self.gamma}

    def from_logits(self, logits: Tensor, targets: Tensor) -> Tensor:
        log_p = logits.log_softmax(1)
        y = encode_targets(targets, logits, "classification")
        # The floor keeps the power's slope finite at p = 1, where 0 < gamma < 1 has none.
        miss = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)
        return -(y * miss.pow(self.gamma) * log_p).sum(1)


class _Regression(Handcrafted, ElementwiseLoss, ABC):
    """A regression loss: a function of the error, summed over the outputs."""

    of_kind: ClassVar[Kind] = "regression"


@final
class Squared(_Regression):
    """Squared error.

    Examples:
        >>> Squared()(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item()
        4.0
    """

    name = "mse"

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        return (p - y).square()


@final
class Absolute(_Regression):
    """Absolute error.

    Examples:
        >>> Absolute()(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item()
        2.0
    """

    name = "mae"

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        return (p - y).abs()


@final
class Huber(_Regression):
    """Squared error up to `delta`, linear beyond it.

    Source: Huber 1964; the same numbers as `torch.nn.HuberLoss`.

    Examples:
        >>> Huber(delta=1.0)(torch.tensor([[3.0]]), torch.tensor([[1.0]])).item()
        1.5
    """

    name = "huber"

    def __init__(self, delta: float = 1.0, reduction: Reduction = "mean"):
        super().__init__(reduction)
        require_in_range("delta", delta, 0, exclude_low=True)
        self.delta = delta

    def options(self) -> dict[str, float]:
        return {"delta": self.delta}

    def elementwise(self, y: Tensor, p: Tensor) -> Tensor:
        return F.huber_loss(p, y, reduction="none", delta=self.delta)


HANDCRAFTED: dict[str, type[Handcrafted]] = {
    loss.name: loss
    for loss in (CrossEntropy, LabelSmoothing, SparseLSR, Focal, Squared, Absolute, Huber)
}


def default_loss(kind: Kind) -> Handcrafted:
    """Return the loss that people use by default: the task loss T of the papers.

    Examples:
        >>> print(default_loss("regression"))
        mse
    """
    return CrossEntropy() if kind == "classification" else Squared()
