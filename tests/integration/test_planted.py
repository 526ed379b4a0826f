"""Where the usual loss is known not to be the best, every method finds a better one."""

import pytest

from lossforge.experiments.comparison import Comparison
from lossforge.losses import default_loss
from lossforge.methods import METHODS
from lossforge.searching import make_problems
from lossforge.tasks import load

MODEL, STEPS = "mlp:width=32", 300
MORE = {
    # Without evolution it takes more draws.
    "random": {"population": 24},
    # A polynomial may go wrong after its fitness run, which the final must be long enough to see.
    "taylorglo": {"population": 24, "generations": 10, "fitness_steps": 300},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize("task", ["planted_student_t", "planted_outliers", "planted_label_noise"])
def test_a_search_finds_a_better_loss_than_the_default(name, task):
    (problem,) = make_problems(load(task), MODEL)
    method = METHODS[name].preset("quick").with_options(**MORE.get(name, {}))
    found = method.run(problem.task, MODEL, seed=0)
    losses = {"found": found.loss, "usual": default_loss(problem.task.kind)}
    compare = Comparison(compare_seeds=3, compare_steps=STEPS)
    ours, usual = compare(losses, problem, method.base, 1000, progress=lambda *_: None)
    assert sum(ours.test) / 3 < sum(usual.test) / 3
