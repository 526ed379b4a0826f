"""One suite over every method of search: what the program and a researcher may rely on."""

from dataclasses import replace
from typing import Any

import pytest
import torch

import lossforge as lf
from lossforge.errors import ConfigurationError, FileFormatError, RunError, UnknownNameError
from lossforge.methods import METHODS
from lossforge.searching import Method
from lossforge.tasks import Task, load

TINY: dict[str, dict[str, Any]] = {
    "evomal": {"population": 5, "generations": 3, "meta_steps": 3, "filter_steps": 20},
    "gp-lfl": {"population": 5, "generations": 3, "filter_steps": 20},
    "random": {"population": 5, "generations": 3, "meta_steps": 3, "filter_steps": 20},
    "taylorglo": {"population": 5, "generations": 3, "finalists": 2, "final_runs": 1},
    "ml3": {"meta_steps": 6, "check_every": 2, "hidden": (6,)},
}
SMALL = {"population": 5, "generations": 3}
"""of any other method: it need not be told here"""
each = pytest.mark.parametrize("name", METHODS)


def tiny(name: str) -> Method[Any, Any]:
    return METHODS[name]().with_options(fitness_steps=15, **TINY.get(name, SMALL))


def alike(a: lf.losses.Loss, b: lf.losses.Loss) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return a.definition() == b.definition() and all(torch.equal(x, y) for x, y in pairs)


def test_sizes_are_those_of_methods():
    assert set(TINY) <= set(METHODS)


@each
def test_presets_exist_and_settings_are_plain_data(name):
    for preset in ("quick", "paper"):
        method = METHODS[name].preset(preset)
        assert METHODS[name].from_settings(method.settings()) == method
    with pytest.raises(FileFormatError):
        METHODS[name].from_settings({"no": "settings"})


@each
@pytest.mark.parametrize("task", ["iris", "diabetes"])
def test_the_same_seed_finds_the_same_loss_which_saves_and_loads(name, task, tmp_path):
    found, again = (tiny(name).run(load(task), "linear", 7) for _ in range(2))
    assert alike(found.loss, again.loss)
    assert found.valid == again.valid
    assert found.evaluations == again.evaluations > 0
    assert found.loss.kind == load(task).kind
    lf.save(found.loss, tmp_path / "loss.json")
    assert alike(found.loss, lf.load(tmp_path / "loss.json"))


@each
def test_any_checkpoint_goes_on_to_the_same_end(name, memory):
    task, whole = load("iris"), memory()
    expected = tiny(name).run(task, "linear", 3, journal=whole)
    assert len(whole.checkpoints) == tiny(name).rounds
    for checkpoint in whole.checkpoints:
        found = tiny(name).run(task, "linear", 3, journal=memory(checkpoint))
        assert alike(found.loss, expected.loss)
        assert (found.valid, found.counts) == (expected.valid, expected.counts)


@each
def test_test_rows_are_never_looked_at(name):
    task = load("iris")
    test = replace(task.test, inputs=torch.full_like(task.test.inputs, 1e30))
    poisoned: Task = replace(task, test=replace(test, targets=torch.zeros_like(test.targets)))
    found, other = (tiny(name).run(rows, "linear", 1) for rows in (task, poisoned))
    assert alike(found.loss, other.loss)
    assert found.valid == other.valid


@each
def test_history_tells_generation_best_and_counts(name, memory):
    journal = memory()
    tiny(name).run(load("iris"), "linear", 0, journal=journal)
    assert [entry["generation"] for entry in journal.entries] == [1, 2, 3]
    bests = [entry["best"] for entry in journal.entries if entry["best"] is not None]
    assert bests == sorted(bests, reverse=True)
    assert all(isinstance(entry["counts"], dict) for entry in journal.entries)
    assert journal.stages
    assert all(0 < done <= total for _, done, total in journal.stages)


@each
def test_settings_out_of_range_are_refused(name):
    for wrong in ({"learning_rate": 0.0}, {"batch_size": 0}, {"fitness_steps": 0}, {"momentum": 2}):
        with pytest.raises(ConfigurationError):
            METHODS[name]().with_options(**wrong)


@each
def test_the_caller_s_random_numbers_are_left_alone(name):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    tiny(name).run(load("iris"), "linear", 0)
    assert torch.equal(before, torch.get_rng_state())


@each
def test_values_of_a_wrong_type_are_refused(name):
    with pytest.raises(ConfigurationError, match="with_options"):
        METHODS[name](base=0.1)
    with pytest.raises(ConfigurationError, match=r"number|type"):
        METHODS[name]().with_options(fitness_steps="many")


@each
def test_an_unknown_option_is_named_with_the_nearest_known(name):
    with pytest.raises(UnknownNameError, match="did you mean 'fitness_steps'"):
        METHODS[name]().with_options(fitnes_steps=3)
    with pytest.raises(UnknownNameError, match="did you mean 'quick'"):
        METHODS[name].preset("quik")


@each
def test_a_checkpoint_of_another_version_is_refused(name, memory):
    with pytest.raises(RunError, match="another version"):
        tiny(name).run(load("iris"), "linear", 0, journal=memory('{"generation": 1}'))


@each
def test_training_steps_and_fitness_runs_are_counted(name):
    found = tiny(name).run(load("iris"), "linear", 0)
    if "training steps" in found.counts:
        assert 0 < found.counts["training steps"] <= 15 * found.counts["trained"]
        assert found.counts["trained"] == found.evaluations
    outcomes = [found.counts.get(outcome, 0) for outcome in ("in full", "stopped", "diverged")]
    assert name == "ml3" or sum(outcomes) == found.evaluations
