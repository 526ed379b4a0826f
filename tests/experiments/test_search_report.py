"""What the report of a search says: whether the learned loss is better, and by which tests."""

from lossforge.experiments import SearchReport
from lossforge.runs import MemoryRun

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
