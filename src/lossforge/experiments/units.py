"""Results of regression in the unit of the data; tasks have standardized targets."""

import math

from lossforge.methods import State
from lossforge.tasks import Task


def rmse(task: Task, mse: float | None) -> float | None:
    """Return the root of the mean squared error in the target's own unit.

    Args:
        task: with one regression target.
        mse: of standardized targets; None or infinite for a training that diverged.

    Examples:
        >>> from lossforge.tasks import load
        >>> task = load("diabetes")
        >>> round(rmse(task, 1.0), 1)  # what the mean of the training targets scores
        77.5
    """
    if mse is None or not math.isfinite(mse):
        return None
    return math.sqrt(mse) * task.target_scale[0]


def original_units(task: Task, valid: float | None, test: float | None) -> State:
    """Return what ``result.json`` holds of a regression in the target's own unit, else nothing."""
    if len(task.target_scale) != 1 or task.metric != "mse":
        return {}
    return {
        "original_units": {
            "metric": "rmse",
            "valid": rmse(task, valid),
            "test": rmse(task, test),
            "target_scale": task.target_scale[0],
        }
    }


def scale_note(scale: float | None) -> tuple[str, ...]:
    """Return what stands below a table of the mse of standardized targets.

    Examples:
        >>> scale_note(77.09)
        ('In the unit of the target, the rmse is 77.09 times the root of the mse.',)
    """
    if scale is None:
        return ()
    return (f"In the unit of the target, the rmse is {scale:.4g} times the root of the mse.",)


def in_original_units(result: State) -> str:
    """Return in a clause what a result is in the target's own unit; empty where it has none.

    Examples:
        >>> in_original_units({"original_units": {"metric": "rmse", "test": 58211.3}})
        ' (rmse 5.821e+04 in the unit of the target)'
    """
    test = result.get("original_units", {}).get("test")
    return "" if test is None else f" (rmse {test:.4g} in the unit of the target)"
