"""The paper preset is true to the papers on each data set, in every command that has it."""

import pytest

from lossforge.cli import main
from lossforge.cli.search import _parse
from lossforge.experiments.benchmark_settings import load_suite
from lossforge.experiments.comparison import Comparison
from lossforge.experiments.paper import LONG, comparison_for, recipe_for, search_options
from lossforge.experiments.search_settings import as_method
from lossforge.experiments.train_settings import PRESETS
from lossforge.losses import CrossEntropy
from lossforge.methods import METHODS
from lossforge.searching import BaseTraining, make_problems
from lossforge.tasks import load


@pytest.mark.parametrize("task", LONG)
def test_long_trainings_divide_the_rate_after_100000_and_135000_steps(task):
    recipe = recipe_for("paper", task, PRESETS["paper"][0])
    assert (recipe.steps, recipe.keep_best) == (150_000, False)
    rates = [recipe.rate(step) for step in (0, 99_999, 100_000, 134_999, 135_000, 149_999)]
    assert rates == pytest.approx([0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4])
    compared = comparison_for("paper", task, Comparison())
    milestones = [round(share * compared.compare_steps) for share in compared.compare_milestones]
    assert (compared.compare_steps, milestones) == (150_000, [100_000, 135_000])


@pytest.mark.parametrize("name", METHODS)
def test_mnist_is_trained_by_plain_sgd(name):
    base = as_method(name, "paper", "mnist").base
    assert (base.momentum, base.nesterov, base.weight_decay) == (0, False, 0)
    assert as_method(name, "paper", "digits").base == BaseTraining()
    assert as_method(name, "quick", "mnist").base == as_method(name, "quick", "digits").base


def test_mnist_has_fewer_filter_steps():
    assert as_method("evomal", "paper", "mnist").filters.rejection_steps == 100
    assert as_method("evomal", "paper", "cifar10").filters.rejection_steps == 1000
    assert search_options("paper", "mnist", {"population": 3}) == {}


@pytest.mark.parametrize("name", ["evomal", "gp-lfl", "random"])
def test_searches_for_formulas_have_no_racing_and_no_parsimony_pressure(name):
    method = METHODS[name].preset("paper")
    assert not method.fitness.racing
    assert method.genetics.parsimony == 1  # of two, either enters with probability one half
    assert method.reevaluation.finalists == 1


def test_ml3_makes_250_meta_steps():
    assert METHODS["ml3"].preset("paper").meta_steps == 250


def test_options_of_the_program_have_these_defaults():
    words = ["--task", "mnist", "--preset", "paper"]
    assert _parse(METHODS["evomal"], words).method.filters.rejection_steps == 100
    words = ["--task", "svhn", "--preset", "paper"]
    assert _parse(METHODS["ml3"], words).comparison.compare_steps == 150_000


def test_the_help_of_train_tells_the_schedule(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--task", "cifar10", "--preset", "paper", "--help"])
    told = capsys.readouterr().out
    assert "150000" in told
    assert "multistep" in told


def test_the_thesis_suite_has_the_presets_schedules():
    for setting in load_suite("thesis").settings:
        wanted = recipe_for("paper", setting.task, PRESETS["paper"][0])
        for name in ("steps", "schedule", "milestones", "momentum", "weight_decay", "keep_best"):
            assert getattr(setting.recipe, name) == getattr(wanted, name), (setting.task, name)
        searches = search_options("paper", setting.task, {"filter_steps": 1000})
        assert dict(setting.search) == searches


def test_a_comparison_under_milestones_takes_smaller_steps_after_them():
    (problem,) = make_problems(load("iris"), "linear")
    base, losses = BaseTraining(learning_rate=0.5), {"ce": CrossEntropy()}

    def scores(comparison: Comparison, base: BaseTraining) -> tuple[float, ...]:
        (found,) = comparison(losses, problem, base, 0, progress=lambda *_: None)
        return found.valid

    none = scores(Comparison(1, 20), base)
    at_the_end = scores(Comparison(1, 20, (1.0,)), base)
    at_once = scores(Comparison(1, 20, (0.0,)), base)
    assert none == at_the_end
    assert at_once == scores(Comparison(1, 20), BaseTraining(learning_rate=0.05))
