import pytest
import torch

from lossforge.errors import ConfigurationError, LossforgeError
from lossforge.methods import ML3
from lossforge.searching import BaseTraining
from lossforge.tasks import load

SMALL = {"meta_steps": 6, "check_every": 2, "fitness_steps": 10, "hidden": (8,)}


def test_learning_lowers_the_metric_that_networks_reach():
    task = load("iris")
    one, many = (
        ML3(meta_steps=steps, check_every=50, fitness_steps=50).run(task, "linear", 0)
        for steps in (1, 200)
    )
    assert many.valid < one.valid


@pytest.mark.parametrize("horizons", [(1,), (2,), (2, 1)])
def test_a_resumed_run_ends_like_an_uninterrupted_one(memory, horizons):
    task, whole = load("iris"), memory()
    method = ML3(**SMALL, horizons=horizons)
    expected = method.run(task, "linear", 3, journal=whole)
    for checkpoint in whole.checkpoints:
        found = method.run(task, "linear", 3, journal=memory(checkpoint))
        for a, b in zip(found.loss.parameters(), expected.loss.parameters(), strict=True):
            assert torch.equal(a, b)
        assert found.valid == expected.valid
        assert found.evaluations == expected.evaluations == 3 * len(horizons)


def test_without_patience_the_last_loss_is_taken(memory):
    journal = memory()
    found = ML3(**SMALL).run(load("iris"), "linear", 0, journal=journal)
    assert len(journal.checkpoints) == 3
    restored = ML3(**SMALL).run(load("iris"), "linear", 0, journal=memory(journal.checkpoints[-1]))
    assert torch.equal(found.loss.layers[0], restored.loss.layers[0])


def test_a_loss_under_which_networks_diverge_is_an_error_with_a_remedy():
    method = ML3(**SMALL, base=BaseTraining(learning_rate=1e30))
    with pytest.raises(LossforgeError, match="lower learning_rate or meta_learning_rate"):
        method.run(load("diabetes"), "linear", 0)


def test_patience_stops_and_takes_the_best_check(memory):
    journal = memory()
    # The first check cannot be beaten by what a vanishing step size brings.
    method = ML3(**SMALL | {"meta_steps": 40, "patience": 2, "meta_learning_rate": 1e-12})
    found = method.run(load("iris"), "linear", 0, journal=journal)
    assert len(journal.checkpoints) == 3
    assert found.valid == journal.entries[0]["best"]


@pytest.mark.parametrize("task", ["planted_student_t", "planted_outliers", "planted_label_noise"])
def test_with_networks_of_its_own_a_loss_rests_where_noise_does_not_pull(task):
    # What the paper's form does not learn in as many steps: it overshoots.
    settings = {"meta_steps": 400, "check_every": 100, "fitness_steps": 150, "patience": 4}
    fresh, own = (
        ML3(**settings, horizons=(h,)).run(load(task), "mlp:width=32", 0).valid for h in (1, 50)
    )
    assert own < fresh


def test_of_several_horizons_the_best_on_validation_data_is_kept():
    task = load("planted_outliers")
    settings = {"meta_steps": 200, "check_every": 50, "fitness_steps": 100, "patience": 4}
    alone = [ML3(**settings, horizons=(h,)).run(task, "mlp:width=16", 0).valid for h in (1, 50, 5)]
    found = ML3(**settings, horizons=(1, 50, 5)).run(task, "mlp:width=16", 0)
    assert found.valid == min(alone)
    assert found.counts["horizon"] == (1, 50, 5)[alone.index(min(alone))]


def test_several_tasks_are_learned_at_once():
    tasks = [load("iris"), load("wine")]
    found = ML3(**SMALL).run(tasks, "linear", 0)
    alone = ML3(**SMALL).run(tasks[0], "linear", 0)
    assert not torch.equal(found.loss.layers[0], alone.loss.layers[0])


def test_more_inner_steps_are_possible():
    found = ML3(**SMALL | {"inner_steps": 3}).run(load("diabetes"), "linear", 0)
    assert found.loss.kind.name == "regression"


@pytest.mark.parametrize(
    "wrong",
    [
        {"meta_steps": 0},
        {"check_every": 0},
        {"patience": -1},
        {"hidden": ()},
        {"activation": "x"},
        {"horizons": (0,)},
        {"horizons": ()},
        {"check_every": 25, "horizons": (1, 10)},
    ],
)
def test_hyper_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        ML3(**wrong)


def test_the_objective_of_meta_training_can_be_chosen():
    def learned(task_loss: str):
        method = ML3(meta_steps=4, check_every=4, fitness_steps=5, hidden=(4,), task_loss=task_loss)
        return method.run(load("iris"), model="linear", progress=False).loss.layers[0]

    assert torch.equal(learned(""), learned("cross_entropy"))
    assert not torch.equal(learned(""), learned("calibrated_cross_entropy"))
