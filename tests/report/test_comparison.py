"""The page of a comparison: the best by validation data, and how sure one can be."""

import pytest

from lossforge.losses import CrossEntropy, Focal
from lossforge.report import Facts
from lossforge.report.comparison import by_setting, entry, rank_sections, sections, verdict


def line(loss, valid, test, task="iris", **more):
    known = {"loss": loss, "valid": valid, "test": test, "tests": [test], "task": task}
    return known | {"model": "mlp", "tuned": False, "learning_rate": 0.01} | more


def facts(*lines, **result) -> Facts:
    return Facts({"command": "compare"}, {"metric": "error_rate", "lines": lines} | result)


def test_the_best_on_validation_data_is_told_with_its_test():
    told = verdict(facts(line("mse", 0.1, 0.25), line("focal", 0.2, 0.125)))
    assert told == (
        "On iris with mlp, mse does best on validation data, with a test error rate of 0.25."
    )


@pytest.mark.parametrize(
    ("p", "sure", "chance"),
    [(0.04, "p = 0.04", False), (0.06, "p = 0.06", True), (None, "too few seeds", True)],
)
def test_how_sure_one_can_be(p, sure, chance):
    best = line("focal", 0.1, 0.2, against={"rival": "mse", "p_holm": p})
    told = verdict(facts(line("mse", 0.2, 0.3), best))
    assert "of 0.2 against 0.3 of mse" in told
    assert sure in told
    assert ("may be chance" in told) is chance


def test_where_everything_diverged_that_is_said():
    assert verdict(facts(line("mse", None, None))) == ("On iris with mlp every training diverged.")


def test_a_tuned_entry_tells_its_rate():
    assert entry(line("mse", 0.1, 0.1)) == "mse"
    tuned = line("mse", 0.1, 0.1, tuned=True, learning_rate=0.03)
    assert entry(tuned) == "mse at its best rate (0.03)"


def test_entries_are_grouped_by_task_and_network():
    lines = [line("a", 1, 1), line("b", 1, 1), line("a", 1, 1, "wine")]
    grouped = by_setting({"lines": lines})
    assert [(s, [e["loss"] for e in some]) for s, some in grouped] == [
        (("iris", "mlp"), ["a", "b"]),
        (("wine", "mlp"), ["a"]),
    ]


@pytest.mark.parametrize(("width", "chance"), [(0.5, False), (0.9, True)])
def test_over_many_tasks_mean_ranks_decide(width, chance):
    overall = {
        "names": ["focal", "mse"],
        "ranks": [1.9, 1.1],
        "groups": [],
        "critical_difference": width,
    }
    result = facts(line("mse", 0.1, 0.1), line("mse", 0.1, 0.1, "wine"), overall=overall)
    told = verdict(result)
    assert "Over 2 tasks and networks, mse has the best mean rank, 1.10; next is focal" in told
    assert ("may be chance" in told) is chance
    assert len(rank_sections(result.result)) == 1
    assert rank_sections({}) == []


def test_gradients_are_drawn_beside_the_default_losss():
    given = facts(line("focal", 0.1, 0.1))
    losses = {"focal": Focal(2.0)}
    whole = Facts(given.config, given.result, losses=losses)
    titles = [each.title for each in sections(whole)]
    assert titles == ["Results on test data", "Tables", "What the losses do"]
    drawn = sections(whole)[-1].blocks[0]
    assert "focal" in drawn
    assert str(CrossEntropy()) in drawn
    assert len(sections(given)) == 2
