"""The loss of each kind of task that people use by default."""

from lossforge.losses.handcrafted.base import Handcrafted
from lossforge.losses.handcrafted.cross_entropy import CrossEntropy
from lossforge.losses.handcrafted.mse import Squared
from lossforge.tasks.task import Kind


def default_loss(kind: Kind) -> Handcrafted:
    """Return the loss that people use by default: the task loss T of the papers.

    Examples:
        >>> print(default_loss("regression"))
        mse
    """
    return CrossEntropy() if kind == "classification" else Squared()
