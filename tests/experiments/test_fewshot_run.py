"""Few-shot learning from Python: its learners, intervals and rows."""

from dataclasses import replace

import pytest

import lossforge as lf
from lossforge.errors import ConfigurationError, LossforgeError
from lossforge.experiments.fewshot_run import explain_few_shot, few_shot_table
from lossforge.methods.npbml import FewShot

TINY = {"network": "dense", "width": 5, "meta_steps": 2, "check_every": 2, "valid_tasks": 2}
TINY |= {"test_tasks": 4, "pretrain_steps": 2}
CALL = {"ways": 3, "queries": 3, "progress": False}


def test_one_method_is_one_row_and_the_same_seed_gives_the_same():
    first, again = (lf.fewshot("maml", "clusters", seed=3, **CALL, **TINY) for _ in range(2))
    (row,), (same,) = first.rows(), again.rows()
    assert row["method"] == "maml"
    assert 0 <= row["test"] <= 100
    assert row["interval"] > 0
    assert {k: v for k, v in row.items() if k != "seconds"} == {
        k: v for k, v in same.items() if k != "seconds"
    }


def test_settings_are_the_object_s_or_named_and_give_the_same():
    by_name = lf.fewshot("maml", "clusters", **CALL, **TINY)
    method = replace(FewShot.preset("quick", "maml"), **TINY)
    by_object = lf.fewshot(method, "clusters", **CALL)
    assert by_object.rows()[0]["test"] == by_name.rows()[0]["test"]


def test_an_ablation_has_a_row_for_each_variant_in_order():
    report = lf.fewshot("ablation", "clusters", variants=["protonet", "maml"], **CALL, **TINY)
    assert [row["method"] for row in report.rows()] == ["protonet", "maml"]
    table = few_shot_table(report.result)
    assert [row[0] for row in table.rows] == ["protonet", "maml"]
    assert report.tables()[0] == table


def test_the_inner_loss_of_a_run_on_disk_is_explained(tmp_path):
    lf.fewshot("maml_inductive", "clusters", out=tmp_path / "run", **CALL, **TINY)
    experiment, found = explain_few_shot(tmp_path / "run")
    assert experiment.variants == ("maml_inductive",)
    assert len(found) == 5
    assert len({tuple(each.position) for each in found}) == 1


@pytest.mark.parametrize(
    ("method", "settings", "says"),
    [
        ("mamll", {}, "did you mean 'maml'"),
        (3, {}, "the method must be a name"),
        ("ablation", {"variants": ["mamll"]}, "maml"),
        ("maml", {"meta_step": 3}, "did you mean 'meta_steps'"),
    ],
)
def test_mistakes_are_told(method, settings, says):
    with pytest.raises((LossforgeError, ConfigurationError), match=says):
        lf.fewshot(method, "clusters", **CALL, **(TINY | settings))
