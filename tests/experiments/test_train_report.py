"""The report of a training: its table, its network, from memory and from disk."""

import pytest
import torch

import lossforge as lf
from lossforge.experiments import TrainingReport
from lossforge.experiments.report_run import open_run

SMALL = {"steps": 6, "check_every": 2, "progress": False}


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> TrainingReport:
    out = tmp_path_factory.mktemp("train") / "run"
    return lf.train("iris", "focal:gamma=1", "linear", out=out, **SMALL)


def test_there_is_a_row_for_each_evaluation_and_a_table_of_the_result(report):
    assert [row["step"] for row in report.rows()] == [2, 4, 6]
    (table,) = report.tables()
    assert table.title == "error_rate on iris with linear"
    assert table.rows[0][0] == "focal:gamma=1"
    assert repr(report).startswith("TrainingReport(iris with linear under focal:gamma=1: test ")
    assert report.command().startswith("lossforge train --task iris --loss focal:gamma=1 ")


def test_a_run_from_disk_predicts_as_the_trained_network_does(report):
    inputs = lf.tasks.load("iris").test.inputs
    again = open_run(report.path)
    assert again.network is None
    torch.testing.assert_close(again.predict(inputs), report.predict(inputs))
    torch.testing.assert_close(report.predict(inputs).sum(1), torch.ones(len(inputs)))
