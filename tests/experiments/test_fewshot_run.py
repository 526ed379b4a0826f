"""Few-shot learning from Python: its learners, intervals and rows."""

from dataclasses import replace

import pytest
import torch

import lossforge as lf
from lossforge.errors import ConfigurationError, LossforgeError, UnknownNameError
from lossforge.experiments.fewshot_run import FewShotReport, explain_few_shot, few_shot_table
from lossforge.methods.npbml import FewShot
from lossforge.tasks.few_shot_sets import from_arrays

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


def test_the_figure_shows_accuracy_against_seconds_too():
    report = lf.fewshot("ablation", "clusters", variants=["protonet", "maml"], **CALL, **TINY)
    intervals, times = report.plot().axes
    assert [label.get_text() for label in intervals.get_yticklabels()] == ["protonet", "maml"]
    assert times.get_xlabel() == "seconds of learning"
    for row, line in zip(report.result["variants"], times.lines, strict=True):
        assert line.get_xdata().tolist() == [at for *_, at in row["curve"]]
        assert all(at > 0 for at in line.get_xdata())


def test_a_report_of_before_curves_were_kept_has_one_panel():
    report = lf.fewshot("maml", "clusters", **CALL, **TINY)
    del report.result["curve"]
    assert len(report.plot().axes) == 1


def test_a_learner_is_read_from_the_folder_of_its_run(tmp_path):
    report = lf.fewshot(
        "ablation", "clusters", variants=["protonet", "maml"], out=tmp_path / "run", **CALL, **TINY
    )
    support, query = torch.randn(3, 16), torch.randn(5, 16)
    later = lf.resume(tmp_path / "run", progress=False)
    assert isinstance(later, FewShotReport)
    for name in ("protonet", "maml"):
        own, read = (
            each.learner(name).adapt(support, torch.arange(3)).predict(query)
            for each in (report, later)
        )
        assert torch.equal(own, read)
    best = report.result["method"]
    assert report.learner() is report.learners[best]
    with pytest.raises(UnknownNameError, match="npbml"):
        report.learner("npbml")


def test_a_learner_of_a_user_s_own_data_predicts_a_new_task():
    task = from_arrays(torch.randn(80, 6), torch.arange(80) % 10)
    report = lf.fewshot("npbml", task, **(CALL | {"ways": 2}), **TINY)
    adapted = report.learner().adapt(torch.randn(2, 6), torch.tensor([0, 1]))
    assert adapted.predict(torch.randn(7, 6)).shape == (7, 2)
