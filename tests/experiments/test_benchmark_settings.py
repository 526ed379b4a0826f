"""Settings check themselves, suites load, and a budget scales every number of steps."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import ConfigurationError, FileFormatError, UnknownNameError
from lossforge.experiments.benchmark_entrants import as_entrants, fitted
from lossforge.experiments.benchmark_settings import (
    SCALED,
    Setting,
    load_suite,
    read_suite,
    scaled,
    settings_of,
    some_rows,
    suite_names,
)
from lossforge.models import FAMILIES
from lossforge.searching.options import flatten
from lossforge.tasks import FROM_FILES, LOADERS, load
from lossforge.training.full import Recipe


@pytest.mark.parametrize("name", suite_names())
def test_a_suite_names_what_there_is(name):
    suite = load_suite(name)
    assert suite.about
    methods = as_entrants(suite.methods, suite.preset)
    for setting in suite.settings:
        assert setting.task in {*LOADERS, *FROM_FILES}
        assert setting.model.partition(":")[0] in FAMILIES
        for method in methods.values():
            if not isinstance(method, str):
                fitted(method, setting)
    assert len({setting.name for setting in suite.settings}) == len(suite.settings)


def test_twelve_tasks_at_least_ten_repetitions_on_small_ones():
    settings = load_suite("twelve").settings
    assert len({setting.task for setting in settings}) >= 12
    assert {setting.repetitions for setting in settings} == {5, 10}
    names = {(setting.task, setting.model) for setting in settings}
    assert {("cifar10", "lenet"), ("cifar10", "conv4:width=16")} <= names
    assert {"planted_outliers", "planted_outliers_corrupted_valid"} <= {task for task, _ in names}


@given(st.floats(0.001, 10))
def test_a_budget_scales_all_steps_and_changes_nothing_else(share):
    setting = Setting("iris", search={"population": 7, "fitness_steps": 200})
    (method,) = as_entrants("evomal", "quick").values()
    full, part = (fitted(method, each) for each in (setting, setting.at_budget(share)))
    before, after = flatten(full), flatten(part)
    for name, value in before.items():
        assert after[name] == (scaled(value, share) if name in SCALED else value)
    assert setting.at_budget(share).recipe.steps == scaled(600, share)
    assert setting.at_budget(1) == setting


def test_settings_survive_as_plain_data():
    for setting in load_suite("twelve").settings:
        content = json.loads(json.dumps(setting.at_budget(0.3).config()))
        assert Setting.from_config(content) == setting.at_budget(0.3)


def test_rows_are_kept_whatever_their_order():
    split = load("iris").train
    some = some_rows(split, 20, 0)
    assert len(some) == 20
    assert len(set(some.targets.tolist())) == 3
    assert set(some.rows.tolist()) < set(split.rows.tolist())
    assert some_rows(split, 20, 0).rows.tolist() == some.rows.tolist()
    assert some_rows(split, 20, 1).rows.tolist() != some.rows.tolist()
    assert some_rows(split, 0, 0) is some_rows(split, 1000, 0) is split


def test_tasks_by_networks():
    found = settings_of(["iris", "wine"], ["linear", "mlp"])
    assert [(each.task, each.model) for each in found] == [
        (task, model) for task in ("iris", "wine") for model in ("linear", "mlp")
    ]


DAMAGED = [
    ("{", FileFormatError, "cannot be read"),
    ('{"about": "", "methods": [], "preset": "quick"}', FileFormatError, "settings"),
    (
        '{"about": "", "methods": [], "preset": "quick", "settings": [{"task": "a", "stesp": 1}]}',
        UnknownNameError,
        "stesp",
    ),
    (
        '{"about": "", "methods": [], "preset": "quick",'
        ' "settings": [{"task": "a", "recipe": {"stpes": 1}}]}',
        UnknownNameError,
        "steps",
    ),
    (
        '{"about": "", "methods": [], "preset": "quick", "settings": [{"model": "a"}]}',
        ConfigurationError,
        "name of its task",
    ),
]


@pytest.mark.parametrize(("text", "error", "says"), DAMAGED)
def test_a_damaged_suite_is_told(text, error, says):
    with pytest.raises(error, match=says):
        read_suite("mine", text)


def test_searches_train_by_sgd():
    with pytest.raises(ConfigurationError, match="sgd"):
        Setting("iris", recipe=Recipe(optimizer="adam"))
