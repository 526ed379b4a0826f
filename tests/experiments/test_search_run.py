"""Searches from Python: what is chosen and recommended, and what the verdict says."""

import pytest

from lossforge.errors import ConfigurationError, UnknownNameError
from lossforge.experiments import SearchReport
from lossforge.experiments.search_run import as_method, copies_weights, weighted_like
from lossforge.methods import METHODS, EvoMAL
from lossforge.runs import MemoryRun
from lossforge.searching import Calibrated, RatedLoss
from lossforge.tasks import load


def test_the_front_trades_size_against_fitness(searched):
    front = searched.result["front"]
    sizes = [member["size"] for member in front]
    fitness = [member["fitness"] for member in front]
    assert sizes == sorted(set(sizes))
    assert fitness == sorted(fitness, reverse=True)


def test_the_loss_is_the_one_that_is_told(searched):
    assert str(searched.loss) == searched.result["loss"]
    assert searched.recommended["name"] in ("learned", *(each["name"] for each in searched.rivals))


def test_nothing_that_was_found_is_better_on_validation_data_than_what_is_recommended(searched):
    offered = [*searched.rivals, searched.recommended]
    valid = [each["valid"] for each in offered if each.get("valid") is not None]
    assert searched.recommended["valid"] == min(valid)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_a_name_takes_its_preset_and_an_object_stays(name, preset):
    assert as_method(name, preset) == METHODS[name].preset(preset)
    given = METHODS[name]()
    assert as_method(given, preset) is given


@pytest.mark.parametrize(
    ("method", "error", "says"),
    [
        ("evomall", UnknownNameError, "did you mean 'evomal'"),
        (3, ConfigurationError, "int"),
        (EvoMAL, ConfigurationError, "EvoMAL"),
    ],
)
def test_what_is_no_method_is_told(method, error, says):
    with pytest.raises(error, match=says):
        as_method(method, "quick")


RESULT = {"loss": "y", "compare_steps": 5, "metric": "error_rate", "front": []}


def verdict(learned, default) -> str:
    run = MemoryRun({})
    baseline = {"name": "mse", "tests": default}
    run.write_result({**RESULT, "tests": learned, "baseline": baseline})
    return SearchReport(run).verdict()


LOW, HIGH = [0.10, 0.11, 0.12, 0.13, 0.14, 0.15], [0.2, 0.22, 0.24, 0.26, 0.28, 0.3]


def test_a_verdict_says_what_the_tests_say():
    assert "better than mse on test data by 0.125" in verdict(LOW, HIGH)
    assert "worse than mse on test data" in verdict(HIGH, LOW)
    assert "that may be chance" in verdict(LOW, [*LOW[::-1][:5], 0.101])
    assert "are equal on test data" in verdict(LOW, LOW)


def test_a_verdict_on_two_seeds_has_no_p_value():
    text = verdict([0.1, 0.2], [0.3, 0.4])
    assert "p =" not in text
    assert "fewer than 5 pairs" in text


def test_a_verdict_counts_what_diverged():
    text = verdict([*LOW[:5], None], HIGH)
    assert "training diverged in 1 of 6 runs under the learned loss" in text
    assert "t-test p" not in text


def test_one_seed_is_no_comparison():
    assert verdict([0.1], [0.2]) == "one seed is no comparison; raise compare_seeds."


def test_candidates_take_over_the_weights_of_the_best_handcrafted_loss():
    task = load("breast_cancer").with_metric("f1")

    def calibrated(name: str) -> Calibrated:
        best, other = (RatedLoss(each, 0.1, 10, (0.1,)) for each in (name, "cross_entropy"))
        return Calibrated((best, other), other, other)

    method = EvoMAL.preset("quick")
    assert method.class_weights == "rival"
    for name, weights in (
        ("cross_entropy:weight=balanced", "balanced"),
        ("focal:gamma=2,weight=balanced", "balanced"),
        ("cross_entropy:weight=root", "root"),
        ("label_smoothing:smoothing=0.1", "none"),
    ):
        assert weighted_like(method, calibrated(name), task).class_weights == weights
    assert weighted_like(method, None, task).class_weights == "none"
    own = method.with_options(class_weights="root")
    assert weighted_like(own, calibrated("cross_entropy:weight=balanced"), task) is own
    plain = load("breast_cancer")
    assert not copies_weights(method, plain)
    assert weighted_like(method, calibrated("cross_entropy"), plain) is method
