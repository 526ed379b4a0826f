"""How much work the stages of a search are."""

from lossforge.experiments.search_plan import search_plan
from lossforge.experiments.search_settings import CALIBRATIONS, COMPARISONS, as_method
from lossforge.searching import Calibration


def plan(tasks=("",), **options):
    method = as_method("evomal", "quick")
    calibration = options.get("calibration", CALIBRATIONS["quick"])
    return search_plan(method, COMPARISONS["quick"], calibration, tasks, (70, 30))


def test_stages_come_in_the_order_in_which_they_are_made():
    names = [name for name, _ in plan()]
    assert names[:2] == ["calibrating", "generation"]
    assert names[-3:] == ["tuning the rate", "comparing", "at best rates: comparing"]


def test_each_task_has_its_own_stages_and_a_share_of_the_search():
    one, two = plan(), plan(("iris: ", "wine: "))
    names = [name for name, _ in two]
    assert [name for name in names if name.endswith("calibrating")] == [
        "iris: calibrating",
        "wine: calibrating",
    ]
    assert sum(work for _, work in two) == 2 * sum(work for _, work in one)


def test_without_a_calibration_nothing_is_tuned():
    work = dict(plan(calibration=Calibration(rivals=False)))
    assert work["calibrating"] == work["tuning the rate"] == work["at best rates: comparing"] == 0
