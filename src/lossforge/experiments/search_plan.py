"""About how much work each stage of a search is, so that the time left can be told."""

from collections.abc import Sequence
from typing import Any

from lossforge.experiments.closing import AT_BEST_RATES
from lossforge.experiments.comparison import COMPARING, Comparison
from lossforge.progress import Plan
from lossforge.searching import Calibration, Method
from lossforge.searching.calibrate import CALIBRATING, TUNING

STEPS_OF_A_META_STEP = 3
"""training steps that take about as long as a step of coefficients with its hypergradient"""


def search_plan(
    method: Method[Any, Any],
    comparison: Comparison,
    calibration: Calibration,
    tasks: Sequence[str],
    calibration_steps: tuple[int, int],
) -> Plan:
    """Return about how much work each stage is, in training steps of one network.

    Args:
        method: of the search.
        comparison: settings of the closing comparison.
        calibration: settings of the calibration.
        tasks: with what the name of each stage on a task begins.
        calibration_steps: on a task, to calibrate the handcrafted losses, and to tune a loss.
    """
    settings, fitness = method.settings(), method.fitness
    candidates = settings.get("population", 1)
    step = fitness.steps + STEPS_OF_A_META_STEP * settings.get("meta_steps", 0)
    seeds = comparison.compare_seeds
    runs = min(calibration.rival_runs or seeds, seeds)
    plain, tuned = 2 * seeds, 3 * runs
    calibrating, tuning = calibration_steps
    if not calibration.rivals:
        calibrating, tuning, tuned = 0, 0, 0
    before = [(f"{task}{CALIBRATING}", calibrating) for task in tasks]
    search = [
        (method.round_name, len(tasks) * method.rounds * candidates * step),
        ("final", len(tasks) * _final_steps(method)),
    ]
    after = [
        stage
        for task in tasks
        for stage in (
            (f"{task}{TUNING}", tuning),
            (f"{task}{COMPARING}", plain * comparison.compare_steps),
            (f"{task}{AT_BEST_RATES}", tuned * comparison.compare_steps),
        )
    ]
    return (*before, *search, *after)


def _final_steps(method: Method[Any, Any]) -> int:
    """Return about how many steps it takes to evaluate the fittest once more."""
    reevaluation = method.reevaluation
    if reevaluation.finalists == 1:
        return 0
    return reevaluation.finalists * reevaluation.runs * (reevaluation.steps or method.fitness.steps)
