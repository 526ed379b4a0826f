"""Calibration: whether a network is right as often as it believes to be."""

from torch import Tensor

from lossforge.validation import require_in_range


def calibration_error(outputs: Tensor, targets: Tensor, bins: int = 15) -> float:
    """Return the expected calibration error.

    The rows are put into bins by the probability of the likeliest class; it is the mean distance
    between that probability and the share of right guesses in a bin, weighted by the bins' sizes.

    Args:
        outputs: logits, [B, C].
        targets: labels, [B].
        bins: of equal width, from 0 to 1.

    Source: Naeini et al. 2015; Guo et al. 2017.

    Examples:
        >>> import torch
        >>> sure = torch.tensor([[9.0, 0.0], [9.0, 0.0]])
        >>> round(calibration_error(sure, torch.tensor([0, 0])), 3)
        0.0
        >>> round(calibration_error(sure, torch.tensor([0, 1])), 3)
        0.5
    """
    require_in_range("bins", bins, 1)
    confidence, guesses = outputs.softmax(1).max(1)
    right = (guesses == targets).to(confidence.dtype)
    bin_of = (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)
    gaps = confidence.new_zeros(bins).index_add(0, bin_of, confidence - right)
    return float(gaps.abs().sum() / len(targets))
