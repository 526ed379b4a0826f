"""SparseLSR as a loss with a name."""

from typing import final

import torch
from torch import Tensor

from lossforge.losses.handcrafted.base import Classification, Setting, with_two_logits
from lossforge.losses.loss import Reduction
from lossforge.losses.sparse_lsr import IGNORED, Kernel, require_kernel, sparse_lsr
from lossforge.tasks.rows import Rows
from lossforge.validation import require_in_range


@final
class SparseLSR(Classification):
    """Label smoothing by way of the target's probability alone; a drop-in for CrossEntropyLoss.

    Source: thesis, ch. 5; see `lossforge.losses.sparse_lsr`, which it calls.

    Args:
        smoothing: the share given to all classes alike, from 0 (cross-entropy) to 1.
        weight: of each class, [C]; the mean is then weighted.
        ignore_index: a label that does not count.
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
        pos_weight: Tensor | None = None,
        ignore_index: int = IGNORED,
        reduction: Reduction = "mean",
        kernel: Kernel = "torch",
    ):
        super().__init__(reduction, weight=weight, pos_weight=pos_weight, ignore_index=ignore_index)
        require_in_range("smoothing", smoothing, 0, 1)
        require_kernel(kernel)
        self.smoothing, self.kernel = smoothing, kernel

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

    def forward(
        self, outputs: Tensor, targets: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        self.check_weights()
        # In one pass over the outputs as they are, where each position is a row with its classes.
        is_plain = self.kind.has_class_dimension and (outputs.dim() == 1 or outputs.shape[1] > 1)
        if sample_weight is not None or not is_plain:
            return super().forward(outputs, targets, sample_weight)
        return self._reduced(outputs, targets, self.weight, self.reduction)

    def from_logits(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self._reduced(logits, targets, None, "none")

    def weighted_rows(self, rows: Rows, term_weights: Tensor) -> Tensor:
        if term_weights.dim() > 1:
            factors = self.kind.row_weights(term_weights, rows)
            return self.per_row(rows.outputs, rows.targets) * factors
        return self._reduced(*with_two_logits(rows.outputs, rows.targets), term_weights, "none")

    def terms(self, y: Tensor, log_p: Tensor) -> Tensor:
        classes = y.shape[1]
        share = self.smoothing * (classes - 1) / classes
        q = -torch.expm1(log_p).clamp_max(-torch.finfo(log_p.dtype).tiny)
        return -y * ((1 - share) * log_p + share * (q / (classes - 1)).log())

    def _reduced(
        self, logits: Tensor, targets: Tensor, weight: Tensor | None, reduction: Reduction
    ) -> Tensor:
        return sparse_lsr(
            logits,
            targets,
            self.smoothing,
            weight=weight,
            ignore_index=IGNORED if self.ignore_index is None else self.ignore_index,
            reduction=reduction,
            kernel=self.kernel,
        )
