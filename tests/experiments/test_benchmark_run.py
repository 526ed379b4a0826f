"""A benchmark end to end at the least budget; it goes on where it stopped."""

import json
import pickle
from pathlib import Path

import pytest

import lossforge as lf
from lossforge.errors import ConfigurationError, LossforgeError, RunError, UnknownNameError
from lossforge.experiments import benchmark_cell, benchmark_run
from lossforge.experiments.benchmark_cell import DEFAULT, DEFAULT_TUNED, RIVAL, carry_out
from lossforge.experiments.benchmark_report import BenchmarkReport
from lossforge.experiments.benchmark_settings import Setting
from lossforge.searching import Calibration
from lossforge.training.full import Recipe

SMALL = Setting(
    "",
    recipe=Recipe(steps=12, check_every=6),
    calibration=Calibration(rival_seeds=1),
    search={"population": 3, "generations": 1, "meta_steps": 2, "fitness_steps": 6}
    | {"filter_steps": 5, "horizons": (1,), "check_every": 2, "finalists": 1},
)
METHODS = ("gp-lfl", "ml3")
TASKS = ("iris", "wine")


def run(out: Path | None = None, methods=METHODS, tasks=TASKS, **options) -> BenchmarkReport:
    options = {"repetitions": 2, "base": SMALL, "progress": False} | options
    return lf.benchmark(methods, tasks, "linear", out=out, **options)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> BenchmarkReport:
    return run(tmp_path_factory.mktemp("benchmark") / "run")


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> BenchmarkReport:
    """A benchmark of fewer cells, for others to be held against."""
    return run(tmp_path_factory.mktemp("benchmark") / "short", "gp-lfl", "iris")


def without_seconds(content: object) -> object:
    """Return plain data without the times that it took."""
    if isinstance(content, dict):
        return {k: without_seconds(v) for k, v in content.items() if k != "seconds"}
    return [without_seconds(each) for each in content] if isinstance(content, list) else content


def files_of(folder: Path) -> dict[str, object]:
    """Return what a benchmark wrote, but for times."""
    found: dict[str, object] = {
        str(path.relative_to(folder)): without_seconds(json.loads(path.read_text()))
        for path in folder.rglob("result.json")
    }
    found |= {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("loss.*")}
    return found | {"cells.csv": (folder / "cells.csv").read_bytes()}


def test_every_method_and_reference_is_on_every_task(report):
    result = report.result
    assert [each["task"] for each in result["settings"]] == list(TASKS)
    for setting in result["settings"]:
        names = [entry["name"] for entry in setting["entries"]]
        assert names == [DEFAULT, DEFAULT_TUNED, RIVAL, *METHODS]
        assert all(len(entry["tests"]) == 2 for entry in setting["entries"])
    assert {each["reference"] for each in result["against"][RIVAL]} == {RIVAL}
    assert {each["entry"] for each in result["against"][DEFAULT_TUNED]} == set(METHODS)


def test_the_result_has_what_other_programs_read(report):
    assert {
        *("method", "task", "model", "seed", "metric", "valid", "test", "loss", "baseline"),
        *("evaluations", "seconds", "version"),
    } <= set(report.result)
    assert set(report.result["baseline"]) == {"name", "valid", "test"}


def test_repetitions_have_splits_of_their_own(report):
    cells = [json.loads(path.read_text()) for path in report.path.glob("cells/*/result.json")]
    assert len(cells) == 2 * 2 * 3
    by_seed = {(c["task"], c["seed"]): c["data"] for c in cells}
    assert len(set(by_seed.values())) == 4
    assert all(cell["data"] == by_seed[cell["task"], cell["seed"]] for cell in cells)


def test_costs_are_told_of_every_method(report):
    costs = {each["entry"]: each for each in report.result["costs"]}
    assert set(costs) == {"handcrafted", *METHODS}
    assert costs["gp-lfl"]["candidates"] > 0
    assert costs["gp-lfl"]["search_steps"] > 0
    assert all(each["tuning_steps"] > 0 and each["seconds"] > 0 for each in costs.values())


def test_a_cell_is_a_function_of_its_job(report):
    first, *_ = benchmark_run.BenchmarkExperiment.of(
        ["gp-lfl"], (Setting("iris", "linear", 1, SMALL.recipe, SMALL.calibration, SMALL.search),),
        suite=None, seed=0, rope=0.01, preset=None, device="cpu", data_dir=None, threads=1,
    ).jobs()  # fmt: skip
    again = pickle.loads(pickle.dumps(first))
    path = report.path / "cells" / first.key / "result.json"
    assert without_seconds(carry_out(again).content) == without_seconds(
        json.loads(path.read_text())
    )


def test_cells_in_workers_give_the_same_files(short, tmp_path):
    run(tmp_path / "elsewhere", "gp-lfl", "iris", workers=2)
    assert files_of(tmp_path / "elsewhere") == files_of(short.path)


@pytest.mark.parametrize("stop_at", [0, 3])
def test_an_interrupted_benchmark_ends_as_if_it_had_not_been(short, tmp_path, monkeypatch, stop_at):
    real, carried = benchmark_cell.carry_out, []

    def stopped(job, *others):
        if len(carried) == stop_at:
            raise KeyboardInterrupt
        carried.append(job.key)
        return real(job, *others)

    monkeypatch.setattr(benchmark_run, "carry_out", stopped)
    with pytest.raises(KeyboardInterrupt, match="lossforge resume"):
        run(tmp_path / "run", "gp-lfl", "iris")
    assert len(carried) == stop_at
    monkeypatch.setattr(
        benchmark_run, "carry_out", lambda job, *o: carried.append(job.key) or real(job, *o)
    )
    assert isinstance(lf.resume(tmp_path / "run", progress=False), BenchmarkReport)
    assert len(carried) == len(set(carried)) == 2 * 2
    assert files_of(tmp_path / "run") == files_of(short.path)


def test_a_search_within_a_cell_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    several = {"search": {**SMALL.search, "generations": 3}}
    base = Setting("", recipe=SMALL.recipe, calibration=SMALL.calibration, **several)
    whole = run(tmp_path / "whole", "gp-lfl", "iris", repetitions=1, base=base)
    from lossforge.methods import GPLFL

    real, rounds = GPLFL.tell, []

    def stopped(self, *others):
        if len(rounds) == 2:
            raise KeyboardInterrupt
        rounds.append(1)
        real(self, *others)

    monkeypatch.setattr(GPLFL, "tell", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", "gp-lfl", "iris", repetitions=1, base=base)
    monkeypatch.setattr(GPLFL, "tell", lambda self, *o: rounds.append(1) or real(self, *o))
    lf.resume(tmp_path / "run", progress=False)
    assert len(rounds) == 3
    assert files_of(tmp_path / "run") == files_of(whole.path)


def test_a_damaged_cell_is_carried_out_again(tmp_path):
    whole = run(tmp_path / "run", "focal", "iris", repetitions=1).result
    (tmp_path / "run" / "result.json").unlink()
    (one,) = (tmp_path / "run" / "cells").glob("iris-linear-focal-*")
    (one / "result.json").write_text('{"rows": []}')
    again = lf.resume(tmp_path / "run", progress=False)
    assert without_seconds(again.result) == without_seconds(whole)


def test_other_settings_are_refused_and_a_new_run_discards_cells(tmp_path):
    run(tmp_path / "run", "focal", "iris", repetitions=1)
    with pytest.raises(RunError, match="another data, seed"):
        run(tmp_path / "run", "focal", "iris", repetitions=1, seed=7, resume=True)
    run(tmp_path / "run", "focal", "wine", repetitions=1, overwrite=True)
    assert all(path.name.startswith("wine") for path in (tmp_path / "run" / "cells").iterdir())


def test_losses_and_adapting_losses_are_tuned_and_tested():
    methods = ["focal:gamma=1", "adaptive:label_smoothing"]
    result = run(None, methods, "iris", repetitions=1).result
    *_, focal, adaptive = result["settings"][0]["entries"]
    assert (focal["losses"], adaptive["losses"]) == ([methods[0]], [methods[1]])
    assert result["costs"][1]["candidates"] == 0


def test_learned_losses_are_kept_with_the_run(tmp_path, monkeypatch):
    lf.save(lf.losses.SymbolicLoss("-2*y*log(p)"), tmp_path / "mine.json")
    path = str(tmp_path / "mine.json")
    monkeypatch.setattr(
        benchmark_run, "carry_out", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", {"mine": path}, "iris", repetitions=1)
    monkeypatch.undo()
    (tmp_path / "mine.json").unlink()
    found = lf.resume(tmp_path / "run", progress=False).result["settings"][0]["entries"][-1]
    assert (found["name"], found["losses"]) == ("mine", ["-2·y·log|p|"])


def test_under_a_schedule_rates_are_tuned_under_it():
    cosine = Setting("", recipe=Recipe(steps=12, check_every=6, schedule="cosine"))
    plain = run(None, "focal", "iris", repetitions=1).result["costs"]
    tuned = run(None, "focal", "iris", repetitions=1, base=cosine).result["costs"]
    assert tuned[1]["tuning_steps"] >= plain[1]["tuning_steps"] + 3 * 12


def test_a_search_that_finds_nothing_is_the_worst(monkeypatch):
    from lossforge.methods import GPLFL

    def nothing(self, *others, **more):
        raise LossforgeError("none of 3 candidates could train a network")

    monkeypatch.setattr(GPLFL, "run", nothing)
    report = run(None, "gp-lfl", "iris", repetitions=1)
    entry = report.result["settings"][0]["entries"][-1]
    assert entry["test"] is None
    assert "found nothing" in entry["failures"][0]
    assert "diverged" in report.tables()[0].plain(80)


def test_three_tasks_have_mean_ranks(tmp_path):
    report = run(
        tmp_path / "run", "focal:gamma=1", ["iris", "wine", "breast_cancer"], repetitions=1
    )
    assert len(report.result["overall"]["ranks"]) == 4
    assert (tmp_path / "run" / "ranks.svg").exists()
    assert "critical difference" in " ".join(
        text.get_text() for text in report.plot_ranks().axes[0].texts
    )


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"methods": "evomall"}, UnknownNameError, "evomal"),
        ({"methods": "evomal:populatoin=4"}, UnknownNameError, "population"),
        ({"methods": ["ml3", "ml3"]}, ConfigurationError, "twice"),
        ({"methods": {RIVAL: "ml3"}}, ConfigurationError, "in every benchmark"),
        ({"methods": "mse"}, ConfigurationError, "for regression"),
        ({"tasks": ["iris", "iris"]}, ConfigurationError, "twice"),
        ({"tasks": []}, ConfigurationError, "needs a task"),
        ({"tasks": "irs"}, UnknownNameError, "iris"),
        ({"suite": "small"}, ConfigurationError, "one of them"),
        ({"tasks": [], "suite": "smal"}, UnknownNameError, "small"),
        ({"repetitions": -1}, ConfigurationError, "repetitions"),
        ({"budget": 0}, ConfigurationError, "budget"),
        ({"rope": -1}, ConfigurationError, "rope"),
        ({"preset": "papr"}, UnknownNameError, "paper"),
        ({"base": Setting("", search={"populatoin": 4})}, UnknownNameError, "population"),
    ],
)
def test_mistakes_are_told_before_anything_is_computed(arguments, error, says, tmp_path):
    with pytest.raises(error, match=says):
        run(tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


def test_a_metric_that_is_maximized_is_shown_and_its_cost_is_compared(tmp_path):
    found = run(tmp_path / "run", ("gp-lfl",), ("breast_cancer",), metric="f1")
    assert found.result["metric"] == "f1"
    assert found.result["maximized"] is True
    (setting,) = found.result["settings"]
    entries = {entry["name"]: entry for entry in setting["entries"]}
    assert all(0 < entry["test"] <= 1 for entry in entries.values())
    (row,) = found.result["against"][RIVAL]
    gap = entries[RIVAL]["test"] - entries["gp-lfl"]["test"]
    assert row["difference"] == pytest.approx(gap)
    report = (tmp_path / "run" / "report.md").read_text()
    best = max(entry["test"] for entry in entries.values())
    assert f"{best:.4f}" in next(part for part in report.split("|") if "*" in part)
    assert "higher is better" in report
    assert "one minus the metric" in report
    names = [row["name"] for row in _calibration(tmp_path / "run")]
    assert "cross_entropy:weight=balanced" in names


def _calibration(folder: Path) -> list[dict]:
    (cell,) = folder.glob("cells/*handcrafted*-0")
    return json.loads((cell / "result.json").read_text())["calibration"]


def test_a_metric_must_be_one_of_the_tasks(tmp_path):
    with pytest.raises(ConfigurationError, match="f1 is no metric for regression"):
        run(tmp_path / "run", ("gp-lfl",), ("iris", "diabetes"), metric="f1")
    with pytest.raises(UnknownNameError, match="f1"):
        run(tmp_path / "run", ("gp-lfl",), ("iris",), metric="f11")
