"""SparseLSR as a loss with a name."""

from typing import Self, final

import torch
from torch import Tensor

from lossforge.losses.handcrafted.base import Classification, Setting, with_two_logits
from lossforge.losses.loss import Reduction
from lossforge.losses.sparse_lsr import IGNORED, Kernel, require_kernel, sparse_lsr
from lossforge.validation import require_in_range


@final
class SparseLSR(Classification):
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
    settings = (Setting("smoothing", 0.005, 0.9),)

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

    def formula(self) -> str:
        share = f"({self.smoothing!r}*(C - 1)/C)"
        return f"-y*((1 - {share})*log(p) + {share}*log((1 - p)/(C - 1)))"

    def torch_source(self) -> str:
        return f"""\
classes = y.shape[1]
share = {self.smoothing!r} * (classes - 1) / classes
# log(1 - p), where only the likeliest class can have a p that rounds to 1.
top = log_p.argmax(1, keepdim=True)
rest = log_p.scatter(1, top, -torch.inf).logsumexp(1, keepdim=True)
log_q = torch.log1p(-log_p.clamp_max(-0.5).exp()).scatter(1, top, rest)
values = -y * ((1 - share) * log_p + share * (log_q - math.log(classes - 1)))"""

    def definition(self) -> dict[str, object]:
        weight = {} if self.weight is None else {"weight": self.weight.tolist()}
        ignored = {} if self.ignore_index == IGNORED else {"ignore_index": self.ignore_index}
        return {**super().definition(), **weight, **ignored}

    @classmethod
    def from_definition(cls, fields: dict[str, object], reduction: Reduction) -> Self:
        numbers = dict(fields)
        weight = numbers.pop("weight", None)
        ignore_index = numbers.pop("ignore_index", IGNORED)
        loss = super().from_definition(numbers, reduction)
        if weight is not None:
            loss.weight = torch.tensor(weight, dtype=torch.float)
        if not isinstance(ignore_index, int):
            raise TypeError("ignore_index must be an integer")
        loss.ignore_index = ignore_index
        return loss

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self._reduced(*with_two_logits(outputs, targets), self.reduction)

    def from_logits(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self._reduced(logits, targets, "none")

    def terms(self, y: Tensor, log_p: Tensor) -> Tensor:
        classes = y.shape[1]
        share = self.smoothing * (classes - 1) / classes
        q = -torch.expm1(log_p).clamp_max(-torch.finfo(log_p.dtype).tiny)
        return -y * ((1 - share) * log_p + share * (q / (classes - 1)).log())

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
