"""The page of a few-shot meta-learning: which method is best, and whether by chance."""

import json

import pytest

from lossforge.report import Facts
from lossforge.report.few_shot import sections, verdict


def row(method, test, interval):
    return {"method": method, "test": test, "interval": interval, "loss": "cross_entropy"}


def facts(rows, metric="accuracy", **settings) -> Facts:
    result = {"metric": metric, "shape": [5, 1, 15], "task": "clusters", "variants": rows}
    return Facts({"command": "fewshot"}, result, **settings)


MAML, NPBML = row("maml", 60.0, 2.0), row("npbml", 70.0, 1.0)


@pytest.mark.parametrize(("metric", "best"), [("accuracy", "npbml"), ("mse", "maml")])
def test_more_is_better_of_an_accuracy_and_less_of_an_error(metric, best):
    told = verdict(facts([MAML, NPBML], metric))
    assert f"never seen, {best} has an {metric} of " in told or f", {best} has a {metric}" in told
    assert ("%" in told.replace("95 %", "")) == (metric == "accuracy")


@pytest.mark.parametrize(("interval", "chance"), [(1.0, False), (9.5, True)])
def test_overlapping_intervals_may_be_chance(interval, chance):
    told = verdict(facts([MAML, row("npbml", 70.0, interval), row("boil", 20.0, 1.0)]))
    assert "the best of 3 methods; next is maml with 60.00 ± 2.00 %" in told
    assert ("may be chance" in told) is chance


def test_a_method_alone_is_held_against_none():
    alone = Facts({}, MAML | {"metric": "accuracy", "shape": [5, 1, 15], "task": "clusters"})
    assert verdict(alone).endswith("60.00 ± 2.00 % (95 % interval).")


def test_curves_are_those_of_each_run_inside(tmp_path):
    lines = [{"step": 10, "valid": 0.5}, {"step": 20, "valid": None}, {"seconds": 3}]
    (tmp_path / "maml").mkdir()
    (tmp_path / "maml" / "history.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = sections(facts([MAML, NPBML], path=tmp_path))
    assert [each.title for each in found] == ["Results on new tasks", "Meta-learning"]
    assert found[1].blocks[1].count("data-tip") == 1
    assert [each.title for each in sections(facts([MAML, NPBML]))] == ["Results on new tasks"]


def test_curves_go_along_steps_and_seconds(tmp_path):
    lines = [{"step": 10, "valid": 50.0, "seconds": 2.5}, {"step": 20, "valid": 60.0, "seconds": 5}]
    (tmp_path / "maml").mkdir()
    (tmp_path / "maml" / "history.jsonl").write_text("\n".join(map(json.dumps, lines)))
    drawn = sections(facts([MAML, NPBML], path=tmp_path))[1].blocks[1]
    assert "seconds of learning" in drawn
    assert drawn.count("data-tip") == 4
