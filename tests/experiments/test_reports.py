"""Reports print short, show tables in notebooks, and become data frames and figures."""

import pytest

import lossforge as lf
from lossforge.errors import RunError
from lossforge.experiments import TrainingReport
from lossforge.experiments.tables import Table
from lossforge.runs import MemoryRun

TRAIN = {"steps": 20, "check_every": 10}


@pytest.fixture(scope="module")
def reports(searched):
    few = {"network": "dense", "width": 5, "meta_steps": 2, "check_every": 2, "valid_tasks": 2}
    few |= {"test_tasks": 4, "pretrain_steps": 2, "variants": ["maml", "protonet"]}
    return {
        "search": searched,
        "train": lf.train("iris", model="linear", progress=False, **TRAIN),
        "compare": lf.compare(
            ["cross_entropy", "focal"], ["iris", "wine", "digits"], "linear", seeds=2,
            progress=False, **TRAIN,
        ),
        "fewshot": lf.fewshot("ablation", "clusters", ways=3, progress=False, **few),
        "explain": lf.explain("focal:gamma=1"),
    }  # fmt: skip


NAMES = ["search", "train", "compare", "fewshot", "explain"]


@pytest.mark.parametrize("name", NAMES)
def test_a_repr_is_one_short_line(reports, name):
    text = repr(reports[name])
    assert "\n" not in text
    assert len(text) < 300
    assert text.startswith(type(reports[name]).__name__)


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_show_a_table(reports, name):
    assert "<table>" in reports[name]._repr_html_()


@pytest.mark.parametrize("name", NAMES)
def test_a_report_becomes_a_figure(reports, name, tmp_path):
    figure = reports[name].plot()
    assert figure.axes
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("search", 2, {"loss", "valid", "test", "deviation"}),
        ("train", 2, {"step", "valid"}),
        ("compare", 6, {"task", "loss", "test", "difference", "p_wilcoxon", "p_holm", "rival"}),
        ("fewshot", 2, {"method", "test", "interval"}),
        ("explain", 2, {"name", "residual", "factor"}),
    ],
)
def test_a_report_becomes_a_data_frame(reports, name, rows, columns):
    frame = reports[name].to_dataframe()
    assert len(frame) >= rows
    assert columns <= set(frame.columns)


def test_a_run_that_is_not_complete_has_no_report():
    with pytest.raises(RunError, match="not complete"):
        TrainingReport(MemoryRun({}))


def test_tables_of_a_search_fit_eighty_columns(reports):
    for name in NAMES[:4]:
        for table in reports[name].tables():
            assert isinstance(table, Table)
            assert max(map(len, table.plain(80).splitlines())) <= 80
