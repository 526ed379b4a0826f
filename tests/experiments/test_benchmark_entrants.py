"""What a benchmark compares: methods by name with options, and what settings give them."""

from lossforge.experiments.benchmark_entrants import as_entrants, fitted, read_options
from lossforge.experiments.benchmark_settings import Setting
from lossforge.training.full import Recipe


def test_options_of_methods_are_read():
    made = as_entrants("evomal:population=24,racing=false", "quick")
    (method,) = made.values()
    assert (method.population, method.fitness.racing, method.generations) == (24, False, 6)
    assert read_options(["horizons=1/50", "name=text", "x=1e-3"]) == {
        "horizons": (1, 50),
        "name": "text",
        "x": 1e-3,
    }


def test_a_setting_gives_searches_its_training_and_only_options_that_they_have():
    setting = Setting(
        "iris", recipe=Recipe(learning_rate=0.1, momentum=0.5), search={"population": 5}
    )
    evomal, ml3 = as_entrants(["evomal", "ml3"], "quick").values()
    assert fitted(evomal, setting).population == 5
    assert fitted(evomal, setting).base == fitted(ml3, setting).base == setting.base
