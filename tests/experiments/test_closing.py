"""The comparison that closes a search, and what it recommends."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lossforge as lf
from lossforge.cli import main
from lossforge.errors import ConfigurationError, RunError
from lossforge.experiments import SearchReport
from lossforge.experiments.closing import Closing, Contender, Contenders, recommend
from lossforge.losses import SymbolicLoss
from lossforge.runs import MemoryRun, RunFolder
from lossforge.searching import (
    BaseTraining,
    Calibration,
    Calibrator,
    Fitness,
    NullJournal,
    SearchResult,
    make_problems,
)
from lossforge.searching.executors import Here
from lossforge.tasks import load

SMALL = {"population": 4, "generations": 1, "meta_steps": 2, "fitness_steps": 12}
SMALL |= {"filter_steps": 10, "compare_seeds": 2, "compare_steps": 12}


def contender(name, *valid, rate=0.01):
    return Contender(name, rate, valid, valid)


scores = st.lists(st.floats(0, 1), min_size=3, max_size=3).map(tuple)


@given(st.lists(scores, min_size=1, max_size=5))
def test_what_is_recommended_is_level_with_the_best(rows):
    all_of_them = [contender(str(i), *row) for i, row in enumerate(rows)]
    chosen = recommend(all_of_them)
    best = min(sum(row) for row in rows)
    assert sum(chosen.valid) >= best
    if sum(chosen.valid) > best + 1e-9:
        earlier = all_of_them[: all_of_them.index(chosen) + 1]
        assert any(sum(each.valid) <= best for each in all_of_them[len(earlier) :])


@given(scores, st.floats(0.01, 1))
def test_a_constant_advantage_is_no_noise(row, by):
    better = contender("learned", *(score - by for score in row))
    assert recommend([contender("mse", *row), better]) is better


@given(st.integers(0, 2), scores)
def test_one_run_that_diverges_is_worse_than_any_that_ended(seed, row):
    broken = [0.0, 0.0, 0.0]
    broken[seed] = math.inf
    first, last = contender("mse", *broken), contender("learned", *row)
    assert recommend([first, last]) is last
    assert recommend([last, first]) is last


@given(st.integers(0, 20), st.integers(22, 2000))
def test_one_validation_row_decides_nothing_and_more_do(wrong, rows):
    first = contender("mse", *[(wrong + 2) / rows] * 3)
    for fewer, expected in ((1, "mse"), (1.5, "learned")):
        last = contender("learned", *[(wrong + 2 - fewer) / rows] * 3)
        assert recommend([first, last], rows).name == expected
        assert recommend([first, last]).name == "learned"


def test_where_everything_diverged_the_simplest_is_recommended():
    assert recommend([contender("a", math.inf), contender("b", math.inf)]).name == "a"


def test_only_the_seeds_that_all_have_are_held_against_each_other():
    many, few = contender("a", 0.2, 0.2, 0.0, 0.0), contender("b", 0.15, 0.15)
    assert recommend([many, few]).name == "b"


def test_a_default_loss_alone_is_what_there_is_without_a_calibration():
    learned, default = contender("learned", 0.3, 0.3), contender("mse", 0.2, 0.2)
    assert Contenders(learned, default, None, ()).recommended() is default


@pytest.fixture(scope="module")
def on_outliers():
    """Close searches on a task with outliers, after one calibration of its rivals."""
    (problem,) = make_problems(load("planted_outliers"), "mlp:width=16")
    settings, base, steps = Calibration(rival_seeds=2), BaseTraining(), 200
    calibrator = Calibrator(settings, Fitness(steps=steps), [problem], base, 0, NullJournal())
    calibrated = calibrator.calibrate()
    comparison = lf.Comparison(compare_seeds=3, compare_steps=steps)
    close = Closing(comparison, problem, base, 0, lambda *_: None, Here())

    def contenders_with(formula):
        learned = SymbolicLoss(formula, kind="regression")
        return close(learned, calibrated, calibrator.tune(formula, learned), 0)

    return contenders_with


def test_a_handcrafted_rival_is_recommended_where_it_is_better(on_outliers):
    """The learned loss beats squared error, and a robust loss beats both."""
    contenders = on_outliers("abs(y - p) + 0.3*square(y - p)")
    chosen = contenders.recommended()
    assert chosen in contenders.rivals
    assert chosen.name.partition(":")[0] in {"mae", "huber", "student_t", "log_cosh"}
    assert sum(contenders.tuned.valid) < sum(contenders.default.valid)
    assert sum(chosen.valid) < sum(contenders.tuned.valid)


def test_the_learned_loss_is_recommended_where_it_is_better(on_outliers):
    """The logarithm hardly feels an outlier, and is narrower than that of any rival."""
    contenders = on_outliers("log(1 + 30*square(y - p))")
    assert contenders.recommended().name == "learned"
    assert contenders.recommended() in {contenders.learned, contenders.tuned}


@pytest.fixture(scope="module")
def report():
    return lf.search("evomal", "iris", "linear", progress=False, **SMALL)


def test_a_report_has_rivals_and_what_is_recommended(report):
    names = [rival["name"] for rival in report.rivals]
    assert names[0] == report.result["baseline"]["name"] == "cross_entropy"
    assert 1 <= len(names) <= 3
    for rival in report.rivals:
        assert {"name", "rate", "valid", "test"} <= set(rival)
    baseline = report.result["baseline"]
    assert report.rivals[0]["valid"] == baseline["valid"]
    assert report.rivals[0]["test"] == baseline["test"]
    candidates = [*report.rivals, report.result["tuned"]]
    learned = {"name": "learned", "rate": 0.01, "valid": report.result["valid"]}
    assert report.recommended in [
        learned,
        *({key: each[key] for key in learned} for each in candidates),
    ]
    assert report.result["calibration"]["training steps"] > 0
    assert len(report.result["calibration"]["losses"]) == 11


def test_existing_fields_are_those_of_a_search_without_rivals(report):
    without = lf.search("evomal", "iris", "linear", progress=False, rivals=False, **SMALL)
    new = {"rivals", "tuned", "recommended", "calibration", "seconds"}
    assert {k: v for k, v in without.result.items() if k not in new} == {
        k: v for k, v in report.result.items() if k not in new
    }
    assert without.rivals == []
    assert without.result["calibration"] == {"training steps": 0, "losses": []}
    assert without.recommended["name"] in {"learned", "cross_entropy"}


def test_the_last_line_recommends(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    small = ["--task", "iris", "--model", "linear", *words]
    for more in ([], ["--no-rivals"]):
        folder = f"run{len(more)}"
        assert main(["search", "evomal", *small, *more, "--out", folder]) == 0
        last = capsys.readouterr().out.splitlines()[-1]
        found = SearchReport(RunFolder.open(tmp_path / folder)).recommended
        if found["name"] == "learned":
            assert last == f"use {folder}/loss.json at learning rate {found['rate']:g}"
        else:
            assert last == (
                f"use {found['name']} at learning rate {found['rate']:g}; "
                "the search found nothing better"
            )


def test_an_interrupted_calibration_goes_on(tmp_path, monkeypatch):
    whole = lf.search("evomal", "iris", "linear", progress=False, **SMALL)
    record, calls = Calibrator._record, []

    def stop_at_third(self, *arguments):
        record(self, *arguments)
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Calibrator, "_record", stop_at_third)
    with pytest.raises(KeyboardInterrupt, match="lossforge resume"):
        lf.search("evomal", "iris", "linear", out=tmp_path / "run", progress=False, **SMALL)
    monkeypatch.undo()
    resumed = lf.resume(tmp_path / "run", progress=False)
    assert resumed.result | {"seconds": 0} == whole.result | {"seconds": 0}


def test_what_an_overwritten_run_has_trained_is_not_used(tmp_path):
    for seed in (0, 1):
        last = lf.search(
            "evomal", "iris", "linear", seed=seed, out=tmp_path / "run", overwrite=True,
            progress=False, **SMALL,
        )  # fmt: skip
    fresh = lf.search("evomal", "iris", "linear", seed=1, progress=False, **SMALL)
    assert last.result["calibration"] == fresh.result["calibration"]


def test_a_run_of_an_earlier_version_recommends_nothing():
    run = MemoryRun({})
    run.write_result({"loss": "y"})
    with pytest.raises(RunError, match="recommended nothing"):
        _ = SearchReport(run).recommended


def test_a_calibration_is_checked():
    with pytest.raises(ConfigurationError, match="must be a Calibration"):
        lf.search("evomal", "iris", "linear", calibration=3, progress=False)


def test_the_search_itself_is_not_changed_by_a_calibration(report):
    method = lf.EvoMAL.preset("quick").with_options(
        **{key: SMALL[key] for key in SMALL if "compare" not in key}
    )
    found = method.run(load("iris"), "linear", 0, progress=False)
    assert isinstance(found, SearchResult)
    assert str(found.loss) == report.result["loss"]
