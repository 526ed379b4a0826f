"""The page of a search: whether what was found is worth using, and what the search did."""

import pytest

from lossforge.experiments.tables import Table
from lossforge.report import Facts
from lossforge.report.search import sections, verdict
from report.svg_reading import tips

RIVALS = [
    {"name": "cross_entropy", "rate": 0.01, "valid": 0.2, "test": 0.3, "tests": [0.2, 0.4]},
    {"name": "focal", "rate": 0.02, "valid": 0.1, "test": 0.25, "tests": [0.25, None]},
    {"name": "poly1", "rate": 0.02, "valid": None, "test": None, "tests": [None, None]},
]
RESULT = {
    "metric": "error_rate", "task": "iris", "rate": 0.01, "valid": 0.05, "test": 0.125,
    "tests": [0.1, 0.15], "rivals": RIVALS, "baseline": RIVALS[0],
}  # fmt: skip


def recommended(name, rate):
    return RESULT | {"recommended": {"name": name, "rate": rate, "valid": 0.04}}


def test_a_learned_loss_is_held_against_the_best_rival_on_validation_data():
    assert verdict(recommended("learned", 0.01)) == (
        "Use the learned loss at learning rate 0.01: its test error rate is 0.125, and that of "
        "the best handcrafted loss, focal at its best learning rate, 0.02, 0.25."
    )


def test_the_tuned_loss_is_told_by_its_own_score():
    tuned = {"name": "learned", "rate": 0.1, "valid": 0.04, "test": 0.0625, "tests": []}
    told = verdict(recommended("learned", 0.1) | {"tuned": tuned})
    assert "at learning rate 0.1: its test error rate is 0.0625" in told


def test_a_handcrafted_loss_is_recommended_where_nothing_better_was_found():
    assert verdict(recommended("focal", 0.02)).startswith(
        "Use focal at learning rate 0.02 (test error rate 0.25): the search found nothing better"
    )


def test_a_level_loss_is_not_said_to_be_worse():
    level = recommended("focal", 0.02)
    level["recommended"]["valid"] = RESULT["valid"]
    assert verdict(level) == (
        "Use focal at learning rate 0.02 (test error rate 0.25): it is the simpler of two, and the "
        "learned loss is level with it on validation data."
    )


def test_without_a_recommendation_both_scores_are_told():
    assert verdict(RESULT) == (
        "The learned loss has a test error rate of 0.125, cross_entropy of 0.3."
    )


def on_two_tasks() -> dict:
    shared = ("metric", "rate", "valid", "test", "tests", "baseline")
    rows = [
        RESULT | {"task": "iris", "recommended": {"name": "learned", "rate": 0.01}},
        RESULT | {"task": "wine", "recommended": {"name": "focal", "rate": 0.02, "valid": 0.04}},
    ]
    return {key: RESULT[key] for key in shared} | {"task": "iris,wine", "tasks": rows}


def test_of_several_tasks_each_has_a_verdict_and_a_chart():
    told = verdict(on_two_tasks())
    assert told.startswith("On iris: Use the learned loss at learning rate 0.01")
    assert "On wine: Use focal at learning rate 0.02" in told
    found = Facts({"command": "search"}, on_two_tasks(), (), sentence="so.")
    shown = part(sections(found), "Results on test data")
    for task in ("iris", "wine"):
        assert f"{task}: one dot a network" in shown


def facts(history=(), tables=(), **result) -> Facts:
    return Facts({"command": "search"}, RESULT | result, history, tables=tables, sentence="so.")


def part(found, title):
    (one,) = (each for each in found if each.title == title)
    return "".join(map(str, one.blocks))


def test_every_run_is_a_dot_and_those_that_diverged_are_told():
    shown = part(sections(facts()), "Results on test data")
    assert "so." in shown
    assert shown.count("<circle") == 2 + 2 + 1
    assert "poly1 at learning rate 0.02: diverged" in shown


def test_the_front_shows_its_members_and_their_table():
    front = [
        {"size": 1, "fitness": 0.5, "loss": "p"},
        {"size": 3, "fitness": None, "loss": "y"},
        {"size": 5, "fitness": 0.25, "loss": "y*p"},
    ]
    tables = [
        Table("The best loss of each size", ("a",), (("1",),), 1),
        Table("Runs", ("b",), (), 1),
    ]
    found = sections(facts(tables=tables, front=front))
    shown = part(found, "Pareto front")
    assert len(tips(shown)) == 2
    assert "each size" in shown
    assert "Runs" not in shown
    assert "Runs" in part(found, "Results on test data")
    assert "Pareto front" not in [each.title for each in sections(facts())]


def test_progress_is_the_best_of_each_round():
    history = [{"generation": 1, "best": None}, {"generation": 2, "best": 0.5}]
    history += [{"generation": 3, "best": 0.125}]
    shown = part(sections(facts(history)), "The search")
    assert "the best error rate fell from 0.5 to 0.125" in shown
    assert len(tips(shown)) == 2


@pytest.mark.parametrize("counts", [None, {}, {"candidates": 0}])
def test_where_no_candidates_were_counted_there_is_no_bar(counts):
    assert "What became" not in part(sections(facts(counts=counts)), "The search")


def test_what_filters_spared_is_told():
    counts = {"candidates": 20, "in full": 8, "stopped": 2, "equal in form": 4}
    counts |= {"equal in gradient": 1, "rejected": 5, "trained": 10, "training steps": 12345}
    shown = part(sections(facts(counts=counts)), "The search")
    assert "Filters spared 10 of 20 proposals (50%) their training" in shown
    assert "10 networks were trained, for 12,345 steps." in shown
