"""SparseLSR against PyTorch's losses, and the fused last layer against linear layer and loss.

    python benchmarks/sparse_lsr.py [--quick] [--json PATH]

Time and peak memory of one forward and backward pass.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from harness import BYTES, Action, Report, interleaved, median_ratio, parse_arguments, peak_bytes
from lossforge.losses import sparse_lsr, sparse_lsr_linear

SMOOTHING = 0.1
LossFunction = Callable[[Tensor, Tensor], Tensor]

# Classes and rows: from tiny tasks to vocabularies.
SIZES = [(10, 128), (10, 4096), (100, 1024), (1000, 128), (1000, 4096), (32_768, 1024)]
LARGEST = [(131_072, 256), (262_144, 128), (262_144, 256)]
# Classes, rows, and width of the hidden states.
FUSED = [(32_768, 1024, 256), (131_072, 1024, 256)]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def written_out(logits: Tensor, labels: Tensor) -> Tensor:
    log_p = logits.log_softmax(1)
    target = log_p.gather(1, labels.unsqueeze(1)).squeeze(1)
    return -((1 - SMOOTHING) * target + SMOOTHING * log_p.mean(1)).mean()


PEERS: dict[str, LossFunction] = {
    "label_smoothing": partial(F.cross_entropy, label_smoothing=SMOOTHING),
    "cross_entropy": F.cross_entropy,
    "smoothing written out": written_out,
}


def through(loss: LossFunction, logits: Tensor, labels: Tensor) -> None:
    torch.autograd.grad(loss(logits, labels), logits)


def through_linear(loss: LossFunction, leaves: tuple[Tensor, Tensor], labels: Tensor) -> None:
    torch.autograd.grad(loss(F.linear(*leaves), labels), leaves)


def through_fused(leaves: tuple[Tensor, Tensor], labels: Tensor) -> None:
    torch.autograd.grad(sparse_lsr_linear(*leaves, labels, SMOOTHING), leaves)


def compare(report: Report, name: str, actions: Mapping[str, Action], repeats: int) -> None:
    """Add time and memory of the first action against each of the others."""
    times = interleaved(actions, repeats)
    memory = {peer: peak_bytes(action) for peer, action in actions.items()}
    ours, *peers = actions
    for peer in peers:
        goal = "1 or less" if peer == "label_smoothing" else ""
        report.add(name, peer, median_ratio(times[ours], times[peer]), goal=goal)
    for peer in peers:
        goal = "0.2 or less at 131072" if peer == "linear, label_smoothing" else ""
        report.add(name, peer, memory[ours] / memory[peer], BYTES, goal)


def candidates() -> dict[str, LossFunction]:
    """Return ours: with the kernels for a GPU only where there is one."""
    ours: dict[str, LossFunction] = {"sparse_lsr": partial(sparse_lsr, smoothing=SMOOTHING)}
    if DEVICE == "cuda":
        ours["sparse_lsr, triton"] = partial(sparse_lsr, smoothing=SMOOTHING, kernel="triton")
    return ours


def compare_losses(report: Report, classes: int, rows: int, repeats: int) -> None:
    logits = torch.randn(rows, classes, device=DEVICE, requires_grad=True)
    labels = torch.randint(classes, (rows,), device=DEVICE)
    for name, loss in candidates().items():
        losses = {name: loss, **PEERS}
        actions = {peer: partial(through, loss, logits, labels) for peer, loss in losses.items()}
        compare(report, f"{name}, {classes} classes, {rows} rows", actions, repeats)


def compare_fused(report: Report, classes: int, rows: int, width: int, repeats: int) -> None:
    hidden = torch.randn(rows, width, device=DEVICE, requires_grad=True)
    weight = (torch.randn(classes, width, device=DEVICE) / width**0.5).requires_grad_()
    labels = torch.randint(classes, (rows,), device=DEVICE)
    leaves = (hidden, weight)
    losses = {"sparse_lsr": partial(sparse_lsr, smoothing=SMOOTHING), **PEERS}
    actions: dict[str, Action] = {"fused": partial(through_fused, leaves, labels)}
    for name in ("label_smoothing", "sparse_lsr"):
        actions[f"linear, {name}"] = partial(through_linear, losses[name], leaves, labels)
    compare(report, f"fused linear, {classes} classes, {rows} rows", actions, repeats)


def main() -> None:
    arguments = parse_arguments(__doc__ or "")
    report = Report()
    for classes, rows in SIZES if arguments.quick else SIZES + LARGEST:
        small = classes * rows < 2**20
        compare_losses(report, classes, rows, (301 if small else 15) // (1 + 2 * arguments.quick))
    for sizes in FUSED[:1] if arguments.quick else FUSED:
        compare_fused(report, *sizes, repeats=3)
    report.save(arguments.json)


if __name__ == "__main__":
    main()
