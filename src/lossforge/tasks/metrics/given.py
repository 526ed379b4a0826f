"""Metrics that a person gives: functions, and metrics of torchmetrics."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from lossforge.errors import ConfigurationError, LossforgeError, one_line
from lossforge.tasks.kinds import Kind, Regression
from lossforge.tasks.metrics.metric import Metric
from lossforge.tasks.rows import full_precision

TIE_BREAK = 1e-3
"""how much the kind's own smooth metric counts beside a metric of which nothing is known"""


@final
@dataclass(frozen=True)
class OwnMetric:
    """A metric of your own, and whether more of it is better.

    Args:
        function: called with the outputs of one network for all rows of a split, [N, C, ...], and
            their targets, both on the CPU; it returns a number. Or a metric of ``torchmetrics``.
        maximize: whether more is better; by default what a metric of ``torchmetrics`` says.
        name: what tables and results call it; by default that of the function.

    Raises:
        ConfigurationError: it cannot be called, or whether more is better is not known.

    Examples:
        >>> def within_a_half(outputs, targets):
        ...     return ((outputs - targets).abs() < 0.5).float().mean()
        >>> OwnMetric(within_a_half, maximize=True).name
        'within_a_half'
    """

    function: Callable[..., Any]
    maximize: bool | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.function, type):
            raise ConfigurationError(
                f"the metric is the class {self.function.__name__}; give an instance of it"
            )
        if not callable(self.function):
            raise ConfigurationError(
                f"the metric is a {type(self.function).__name__}; give a name, such as "
                '"f1", a function of outputs and targets, or a metric of torchmetrics'
            )
        if not self.name:
            own = getattr(self.function, "__name__", type(self.function).__name__)
            object.__setattr__(self, "name", str(own).strip("<>"))
        if self.maximize is None:
            object.__setattr__(self, "maximize", getattr(self.function, "higher_is_better", None))
        if not isinstance(self.maximize, bool):
            raise ConfigurationError(
                f"whether more of the metric {self.name} is better is not known; give "
                "OwnMetric(function, maximize=True) or maximize=False"
            )


@final
class GivenMetric(Metric):
    """A metric that a person gives, for tasks of one kind."""

    def __init__(self, kind: Kind, own: OwnMetric):
        super().__init__(kind)
        self._own, self.name, self.is_maximized = own, own.name, bool(own.maximize)

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the metric of each network, [P].

        Raises:
            ConfigurationError: the function fails or returns no number.
        """
        targets = targets.detach().cpu()
        found = [self._value(each, targets) for each in full_precision(outputs.detach()).cpu()]
        return torch.tensor(found, dtype=torch.float64, device=outputs.device)

    def smooth_costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the costs, [P], and a little of the kind's smooth metric to break ties."""
        ties = self.kind.smooth_scores(outputs, targets).double()
        return self.costs([(outputs, targets)]) + TIE_BREAK * ties / (1 + ties)

    def differentiable_cost(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Raise `ConfigurationError`: a person's function has no gradients."""
        raise ConfigurationError(
            f"the metric {self.name} is a function without gradients; name a loss as task_loss, or "
            "leave it out"
        )

    def _value(self, outputs: Tensor, targets: Tensor) -> float:
        if not bool(outputs.isfinite().all()):
            return math.nan
        function = self._own.function
        try:
            found = (
                self._of_torchmetrics(outputs, targets)
                if is_of_torchmetrics(function)
                else function(outputs, targets)
            )
            number = float(found)
        except LossforgeError:
            raise
        except Exception as error:  # whatever a person's function raises
            raise ConfigurationError(
                f"the metric {self.name} failed for outputs {list(outputs.shape)} and targets "
                f"{list(targets.shape)}: {one_line(error)}"
            ) from error
        return number

    def _of_torchmetrics(self, outputs: Tensor, targets: Tensor) -> Any:
        metric: Any = deepcopy(self._own.function)
        metric.reset()
        metric.update(self._predictions(outputs, targets), targets)
        return metric.compute()

    def _predictions(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return what a metric of torchmetrics takes: probabilities, or values."""
        found = self.kind.read(outputs)
        if isinstance(self.kind, Regression):
            return found.reshape(targets.shape)
        is_binary = type(self._own.function).__name__.startswith("Binary")
        if is_binary and found.dim() > 1 and found.shape[1] <= 2 and found.dim() > targets.dim():
            return found[:, -1]
        return found


def is_of_torchmetrics(metric: object) -> bool:
    """Tell whether an object is a metric of torchmetrics, or is used like one."""
    return all(callable(getattr(metric, name, None)) for name in ("update", "compute", "reset"))
