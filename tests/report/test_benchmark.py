"""The page of a benchmark: wins and losses are counted, differences stand where they belong."""

from lossforge.report import Facts
from lossforge.report.benchmark import sections, verdict
from report.svg_reading import tips


def row(entry, task, verdict, difference, model="mlp"):
    return {
        "entry": entry, "task": task, "model": model, "verdict": verdict, "difference": difference
    }  # fmt: skip


AGAINST = {
    "the best handcrafted": [
        row("evomal", "iris", "better", -0.25),
        row("evomal", "wine", "level", 0.0),
        row("evomal", "wine", "better", -0.5, "linear"),
        row("ml3", "iris", "worse", 0.125),
    ]
}


def setting(task, model="mlp"):
    entries = [
        {"name": "evomal", "tests": [0.1, 0.3], "test": 0.2},
        {"name": "focal", "tests": [0.4, None], "test": None},
    ]
    return {"task": task, "model": model, "metric": "error_rate", "entries": entries}


def facts(**result) -> Facts:
    whole = {"settings": [setting("iris")], "methods": ["evomal", "ml3"], "against": AGAINST}
    return Facts({"command": "benchmark"}, whole | result)


def test_verdicts_are_counted():
    assert verdict(facts()) == (
        "Against the best handcrafted, on 3 tasks and networks: "
        "evomal: 2 better, 1 level; ml3: 1 worse."
    )
    alone = {"focal": [row("evomal", "iris", "level", 0.0)]}
    assert "on one task and network: evomal: 1 level" in verdict(facts(against=alone))


def test_where_nothing_was_held_against_anything_that_is_said():
    assert verdict(facts(against={})) == "Nothing was held against the handcrafted losses."
    assert verdict(facts(against={"focal": []})) == "No method was held against focal."
    titles = [section.title for section in sections(facts(against={"focal": []}))]
    assert titles == ["Results on test data", "Tables"]


def test_differences_stand_at_their_task_and_network():
    (found,) = (s for s in sections(facts()) if s.title == "Against handcrafted losses")
    assert tips(found.blocks[0]) == [
        *("evomal, iris: -0.25", "evomal, wine, mlp: +0", "evomal, wine, linear: -0.5"),
        *("ml3, iris: +0.125", "ml3, wine, mlp: none", "ml3, wine, linear: none"),
    ]


def test_learned_losses_have_a_color_of_their_own():
    found = sections(facts(settings=[setting("iris"), setting("wine")]))[0].blocks[1]
    assert found.count('class="dot s0"') == 2 * 2
    assert found.count('class="dot s1"') == 2 * 1
    assert "focal diverged" in found
