"""The report of a comparison: ranks over tasks, rows and figures."""

import pytest

import lossforge as lf
from lossforge.errors import ConfigurationError
from lossforge.experiments import ComparisonReport

TRAIN = {"steps": 5, "check_every": 5}


@pytest.fixture(scope="module")
def report() -> ComparisonReport:
    return lf.compare(
        ["cross_entropy", "focal"], ["iris", "wine", "breast_cancer"], "linear",
        seeds=2, progress=False, **TRAIN,
    )  # fmt: skip


def test_three_tasks_have_mean_ranks(report):
    *_, last = report.tables()
    assert last.title == "mean ranks over all tasks and networks"
    assert set(report.result["overall"]["names"]) == {"cross_entropy", "focal"}


def test_mean_ranks_are_drawn_and_named(report):
    figure = report.plot_ranks()
    shown = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert "cross_entropy" in shown
    assert "critical difference" in shown


def test_fewer_tasks_have_none():
    report = lf.compare(["cross_entropy"], "iris", "linear", seeds=1, progress=False, **TRAIN)
    with pytest.raises(ConfigurationError, match="three tasks"):
        report.plot_ranks()


def test_each_task_has_a_table_rows_and_a_panel(report):
    titles = [table.title for table in report.tables()]
    assert sum(" with linear" in title for title in titles) == 3
    assert len(report.rows()) == 2 * 3
    assert len(report.plot().axes) == 3
