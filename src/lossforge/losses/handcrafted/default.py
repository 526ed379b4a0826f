"""The loss of each kind of task that people use by default."""

from lossforge.losses.handcrafted.base import Handcrafted
from lossforge.losses.handcrafted.registry import HANDCRAFTED
from lossforge.tasks.kinds import Kind, as_kind


def default_loss(kind: Kind | str) -> Handcrafted:
    """Return the loss that people use by default: the task loss T of the papers.

    Examples:
        >>> print(default_loss("regression"))
        mse
    """
    kind = as_kind(kind)
    return HANDCRAFTED[kind.default_loss]().for_kind(kind)
