"""Reports print short, show tables in notebooks, and become data frames and figures."""

import pytest

import lossforge as lf
from lossforge.errors import ConfigurationError, RunError
from lossforge.experiments import SearchReport, TrainingReport
from lossforge.experiments.tables import Table
from lossforge.runs import MemoryRun

TRAIN = {"steps": 20, "check_every": 10}


@pytest.fixture(scope="module")
def reports():
    search = {"population": 4, "generations": 1, "meta_steps": 2, "fitness_steps": 5}
    search |= {"filter_steps": 10, "compare_seeds": 2, "compare_steps": 5}
    few = {"network": "dense", "width": 5, "meta_steps": 2, "check_every": 2, "valid_tasks": 2}
    few |= {"test_tasks": 4, "pretrain_steps": 2, "variants": ["maml", "protonet"]}
    return {
        "search": lf.search("evomal", "iris", "linear", progress=False, **search),
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


def test_explaining_leaves_the_loss_as_it_is():
    loss = lf.losses.SymbolicLoss("(y - p)**2").requires_grad_()
    before = loss.coefficients.dtype
    lf.explain(loss).plot()
    assert loss.coefficients.dtype == before
    assert loss.coefficients.requires_grad


def test_three_tasks_have_mean_ranks(reports):
    *_, last = reports["compare"].tables()
    assert last.title == "mean ranks over all tasks and networks"
    assert set(reports["compare"].result["overall"]["names"]) == {"cross_entropy", "focal"}


def test_mean_ranks_are_drawn_and_named(reports):
    figure = reports["compare"].plot_ranks()
    shown = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert "cross_entropy" in shown
    assert "critical difference" in shown
    with pytest.raises(ConfigurationError, match="three tasks"):
        lf.compare(
            ["cross_entropy"], "iris", "linear", seeds=1, progress=False, **TRAIN
        ).plot_ranks()


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


def test_a_run_that_is_not_complete_has_no_report():
    with pytest.raises(RunError, match="not complete"):
        TrainingReport(MemoryRun({}))


def test_tables_of_a_search_fit_eighty_columns(reports):
    for name in NAMES[:4]:
        for table in reports[name].tables():
            assert isinstance(table, Table)
            assert max(map(len, table.plain(80).splitlines())) <= 80
