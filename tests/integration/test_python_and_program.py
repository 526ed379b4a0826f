"""Functions of Python and commands of the program: the same settings give the same files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import lossforge as lf
from lossforge.cli import main
from lossforge.errors import RunError
from lossforge.experiments.benchmark_settings import Setting
from lossforge.training.full import FullTraining, Recipe

SEARCH = {"population": 4, "generations": 2, "meta_steps": 3, "fitness_steps": 10}
SEARCH |= {"filter_steps": 10, "compare_seeds": 2, "compare_steps": 10}
TRAIN = {"steps": 40, "check_every": 20}
FEW_SHOT = {"network": "dense", "width": 5, "meta_steps": 4, "check_every": 2}
FEW_SHOT |= {"valid_tasks": 3, "test_tasks": 6, "pretrain_steps": 2}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def words(settings: dict[str, object]) -> list[str]:
    pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in settings.items())
    return [word for pair in pairs for word in pair]


def files(folder: str) -> dict[str, object]:
    """Return what a run wrote, times left out."""
    found: dict[str, object] = {}
    for name in ("config.json", "result.json"):
        with open(f"{folder}/{name}") as stream:
            found[name] = _without_times(json.load(stream))
    return found


def assert_same_bytes(*names: str) -> None:
    """Hold what the call in `python` wrote against what the command in `program` wrote."""
    for name in names:
        ours, theirs = Path("python", name).read_bytes(), Path("program", name).read_bytes()
        assert ours == theirs, name


def _interrupt(self):
    raise KeyboardInterrupt


TIMES = ("seconds", "times")


def _without_times(value):
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key not in TIMES}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


def test_search_is_the_program_s():
    small = ["--task", "iris", "--model", "mlp:width=8", *words(SEARCH)]
    assert main(["search", "evomal", *small, "--seed", "3", "--out", "program"]) == 0
    report = lf.search(
        "evomal", "iris", "mlp:width=8", seed=3, out="python", progress=False, **SEARCH
    )
    assert files("python") == files("program")
    assert_same_bytes("loss.json")
    assert str(report.loss) == report.result["loss"]


def test_a_metric_is_the_program_s():
    small = ["--task", "breast_cancer", "--model", "linear", "--metric", "f1"]
    options = {
        name: value for name, value in SEARCH.items() if not name.startswith(("meta", "fil"))
    }
    assert main(["search", "random", *small, *words(options), "--out", "program"]) == 0
    options |= {"metric": "f1", "progress": False}
    lf.search("random", "breast_cancer", "linear", out="python", **options)
    assert files("python") == files("program")
    assert_same_bytes("loss.json")
    assert files("python")["result.json"]["metric"] == "f1"
    for command, given in (("train", []), ("compare", ["--losses", "focal", "--seeds", "2"])):
        loss = ["--loss", "focal"] if command == "train" else given
        line = [command, *loss, *small, "--steps", "10"]
        assert main([*line, "--out", f"program-{command}"]) == 0
    common = {"metric": "f1", "steps": 10, "progress": False}
    lf.train("breast_cancer", "focal", "linear", out="python-train", **common)
    lf.compare(["focal"], ["breast_cancer"], ["linear"], seeds=2, out="python-compare", **common)
    for command in ("train", "compare"):
        assert files(f"python-{command}") == files(f"program-{command}")


def test_search_by_objects_is_the_search_by_names():
    own = {name: value for name, value in SEARCH.items() if "compare" not in name}
    method = lf.EvoMAL.preset("quick").with_options(**own)
    by_name = lf.search("evomal", "iris", "linear", progress=False, **SEARCH)
    by_object = lf.search(
        method,
        lf.tasks.load("iris"),
        lf.models.Linear(),
        comparison=lf.Comparison(compare_seeds=2, compare_steps=10),
        progress=False,
    )
    first, second = _without_times(by_name.result), _without_times(by_object.result)
    assert first == second


def test_a_name_takes_the_quick_preset_and_the_class_the_paper_s():
    assert lf.EvoMAL().settings()["generations"] == 50
    report = lf.search("random", "iris", "linear", out="run", progress=False, **SEARCH)
    with open("run/config.json") as stream:
        config = json.load(stream)
    own = {key: SEARCH[key] for key in SEARCH if key in config["settings"]}
    expected = lf.RandomSearch.preset("quick").with_options(**own)
    assert config["settings"] == json.loads(json.dumps(expected.settings()))
    assert report.result["preset"] == "quick"


@pytest.mark.parametrize("loss", ["focal:gamma=1", "adalfl"])
def test_train_is_the_program_s(loss):
    adalfl = replace(lf.AdaLFL(record_every=50), warm_up_steps=4, trial_steps=2)
    adapting = ["--adalfl.warm-up-steps", "4", "--adalfl.trial-steps", "2"]
    small = ["--task", "iris", "--loss", loss, "--model", "mlp:width=8", *words(TRAIN), *adapting]
    assert main(["train", *small, "--out", "program"]) == 0
    report = lf.train(
        "iris", loss, "mlp:width=8", adalfl=adalfl, out="python", progress=False, **TRAIN
    )
    assert files("python") == files("program")
    assert_same_bytes("model.safetensors")
    task = lf.tasks.load("iris")
    with torch.no_grad():
        wrong = report.network.eval()(task.test.inputs).argmax(1) != task.test.targets
    assert float(wrong.double().mean()) == report.result["test"]


def test_compare_is_the_program_s():
    small = ["--task", "iris", "wine", "--model", "linear", *words(TRAIN), "--seeds", "2"]
    losses = ["cross_entropy", "focal"]
    more = ["--losses", *losses, "--tune", "handcrafted", "--factors", "1", "10"]
    assert main(["compare", *small, *more, "--out", "program"]) == 0
    report = lf.compare(
        losses,
        ["iris", lf.tasks.load("wine")],
        "linear",
        seeds=2,
        tune="handcrafted",
        factors=[1, 10],
        out="python",
        progress=False,
        **TRAIN,
    )
    ours, theirs = files("python"), files("program")
    assert ours["config.json"].pop("given") == ["task"]
    assert ours == theirs
    assert_same_bytes("report.md")
    assert len(report.rows()) == 8


def test_benchmark_is_the_program_s():
    own = {"population": 3, "generations": 1, "fitness_steps": 6, "finalists": 1}
    small = ["--tasks", "breast_cancer", "--models", "linear", "--metric", "f1", "--repetitions"]
    small += ["1", "--steps", "12", "--check-every", "6", "--rival-seeds", "1", "--search-options"]
    small += [f"{name}={value}" for name, value in own.items()]
    assert main(["benchmark", "--methods", "gp-lfl", *small, "--out", "program"]) == 0
    base = Setting(
        "",
        recipe=Recipe(steps=12, check_every=6),
        calibration=lf.Calibration(rival_seeds=1),
        search=own,
    )
    lf.benchmark(
        "gp-lfl",
        "breast_cancer",
        "linear",
        metric="f1",
        repetitions=1,
        base=base,
        out="python",
        progress=False,
    )
    assert files("python") == files("program")
    assert_same_bytes("cells.csv")


def test_few_shot_learning_is_the_program_s():
    small = ["--task", "clusters", "--ways", "3", "--queries", "3", *words(FEW_SHOT)]
    for method, more, options in (
        ("maml", [], {}),
        ("ablation", ["--variants", "maml", "protonet"], {"variants": ["maml", "protonet"]}),
    ):
        assert main(["fewshot", method, *small, *more, "--out", f"program-{method}"]) == 0
        out = f"python-{method}"
        report = lf.fewshot(
            method, "clusters", ways=3, queries=3, out=out, progress=False, **options, **FEW_SHOT
        )
        assert files(out) == files(f"program-{method}")
        assert list(report.learners) == (list(options.get("variants", ())) or ["maml"])


def test_explain_and_export_are_the_program_s(capsys):
    assert main(["explain", "huber:delta=0.5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == lf.explain(lf.losses.Huber(0.5)).document()
    assert main(["export", "huber:delta=0.5", "--to", "torch"]) == 0
    assert capsys.readouterr().out == lf.export("huber:delta=0.5", "torch")


def test_a_loss_given_as_an_object_is_saved_with_the_run_and_resumed_by_the_program(monkeypatch):
    loss = lf.losses.SymbolicLoss("3*abs(y - p) - y*log(p)")
    settings = {"seeds": 2, "model": "linear", "progress": False, **TRAIN}
    whole = lf.compare({"ce": "cross_entropy", "ours": loss}, "iris", out="whole", **settings)
    real, checks = FullTraining._evaluate, []

    def stopped(self):
        checks.append(real(self))
        if len(checks) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(FullTraining, "_evaluate", stopped)
    with pytest.raises(KeyboardInterrupt, match="go on with: lossforge resume run"):
        lf.compare({"ce": "cross_entropy", "ours": loss}, "iris", out="run", **settings)
    monkeypatch.setattr(FullTraining, "_evaluate", real)
    assert main(["resume", "run"]) == 0
    assert files("run") == files("whole")
    assert [row["loss"] for row in whole.rows()] == ["ce", "ours"]


def test_a_run_on_objects_is_resumed_by_the_same_call(monkeypatch, capsys):
    def network() -> torch.nn.Module:
        return torch.nn.Linear(4, 3)

    task = replace(lf.tasks.load("iris"), name="flowers of mine")
    lf.train(task, model=network, out="whole", progress=False, **TRAIN)
    with monkeypatch.context() as patch:
        patch.setattr(FullTraining, "_outcome", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            lf.train(task, model=network, out="run", progress=False, **TRAIN)
    assert main(["resume", "run"]) == 2
    assert "resume=True" in capsys.readouterr().err
    with pytest.raises(RunError, match="overwrite"):
        lf.train(task, model=network, out="run", progress=False, **TRAIN)
    with pytest.raises(RunError, match="another seed"):
        lf.train(task, model=network, out="run", resume=True, seed=1, progress=False, **TRAIN)
    lf.train(task, model=network, out="run", resume=True, progress=False, **TRAIN)
    assert files("run") == files("whole")


def test_without_out_nothing_is_written(tmp_path):
    lf.train("iris", model="linear", progress=False, **TRAIN)
    lf.compare(["cross_entropy"], "iris", "linear", seeds=1, progress=False, **TRAIN)
    lf.search("evomal", "iris", "linear", progress=False, **SEARCH)
    assert not list(tmp_path.iterdir())


def test_a_complete_run_is_read_again():
    report = lf.train("iris", model="linear", out="run", progress=False, **TRAIN)
    again = lf.resume("run")
    assert type(again) is type(report)
    assert again.result == report.result
    assert repr(again) == repr(report)
    assert again.network is None


@pytest.mark.parametrize("progress", [True, False])
def test_progress_is_shown_unless_told_not_to(progress, capsys):
    lf.train("iris", model="linear", progress=progress, **TRAIN)
    shown = capsys.readouterr()
    assert ("step 40: error_rate" in shown.err) == progress
    assert not shown.out


def test_a_method_shows_its_progress_unless_told_not_to(capsys):
    own = {name: value for name, value in SEARCH.items() if "compare" not in name}
    method = lf.EvoMAL.preset("quick").with_options(**own)
    task = lf.tasks.load("iris")
    method.run(task, "linear", progress=False)
    assert capsys.readouterr().err == ""
    method.run(task, "linear")
    shown = capsys.readouterr().err
    assert shown.startswith("evomal on iris with linear, seed 0\n")
    assert "generation 2/2: best" in shown
