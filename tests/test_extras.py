"""A feature whose package is missing says which extra installs it."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from lossforge.cli import main
from lossforge.errors import LossforgeError, MissingPackageError
from lossforge.extras import PACKAGES, has_extra, require_extra
from lossforge.tasks import load
from lossforge.tasks.few_shot_sets import load_few_shot

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = {"PIL": "pillow"}


def required(lines: list[str]) -> set[str]:
    return {re.split(r"[<>=\[ ]", line)[0] for line in lines}


@pytest.mark.parametrize("extra", PACKAGES)
def test_each_extra_installs_what_it_is_said_to(extra):
    wanted = {DISTRIBUTIONS.get(package, package) for package in PACKAGES[extra]}
    assert wanted == required(PROJECT["optional-dependencies"][extra])


def test_all_names_every_extra_that_commands_use():
    (line,) = PROJECT["optional-dependencies"]["all"]
    named = set(line.removeprefix("lossforge[").removesuffix("]").split(","))
    of_others = {"lightning", "transformers", "ray", "tensorboard", "wandb", "mlflow"}
    assert named == set(PACKAGES) - of_others


def test_no_package_of_an_extra_is_a_dependency_of_all():
    optional = {DISTRIBUTIONS.get(p, p) for packages in PACKAGES.values() for p in packages}
    assert not optional & required(PROJECT["dependencies"])


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):
    """Make a package look as if it were not installed."""

    def remove(*packages: str) -> None:
        for package in packages:
            monkeypatch.setitem(sys.modules, package, None)

    return remove


def test_what_is_missing_is_named_with_its_remedy(without):
    without("pyarrow", "PIL")
    assert not has_extra("images")
    with pytest.raises(MissingPackageError) as caught:
        require_extra("images", "mnist")
    assert str(caught.value) == (
        "mnist needs pyarrow and PIL; install it with: pip install 'lossforge[images]'"
    )
    assert isinstance(caught.value, LossforgeError)
    assert isinstance(caught.value, ImportError)


@pytest.mark.parametrize(
    ("package", "task", "extra"),
    [
        ("pandas", "csv:table.csv:y", "tables"),
        ("PIL", "images:folder", "images"),
        ("datasets", "hub:owner/name", "hub"),
        ("pyarrow", "mnist", "images"),
    ],
)
def test_tasks_name_their_extra(package, task, extra, without):
    without(package)
    with pytest.raises(MissingPackageError, match=rf"lossforge\[{extra}\]"):
        load(task)


@pytest.mark.parametrize("task", ["omniglot", "images:folder"])
def test_few_shot_tasks_name_their_extra(task, without):
    without("PIL")
    with pytest.raises(MissingPackageError, match=r"lossforge\[images\]"):
        load_few_shot(task)


def test_a_table_of_files_names_its_extra(without, tmp_path):
    folder = tmp_path / "california_housing"
    folder.mkdir()
    (folder / "housing.csv").write_text("a,b\n1,2\n")
    without("pandas")
    with pytest.raises(MissingPackageError, match=r"lossforge\[tables\]"):
        load("california_housing", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("package", "module"),
    [("lightning", "lightning"), ("transformers", "transformers")],
)
def test_integrations_name_their_extra(package, module, without, monkeypatch):
    without(package)
    name = f"lossforge.integrations.{module}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(MissingPackageError, match=rf"lossforge\[{package}\]"):
        __import__(name)


@pytest.mark.parametrize(
    "words",
    [
        ["explain", "focal", "--plots", "plots"],
        ["landscape", "--losses", "mse", "--task", "diabetes", "--out", "plots"],
    ],
)
def test_commands_that_draw_say_so_before_they_begin(words, without, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    without("matplotlib")
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "lossforge[plots]" in line
    assert not list(tmp_path.iterdir())


TINY = ["--task", "iris", "--model", "linear", "--steps", "4", "--check-every", "2"]


def test_a_comparison_needs_no_plots(without, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    without("matplotlib")
    words = ["compare", "--losses", "cross_entropy", "focal", *TINY, "--seeds", "2", "--out", "run"]
    assert main(words) == 0
    assert "no curves: plots need pip install 'lossforge[plots]'" in capsys.readouterr().out
    assert {path.name for path in Path("run").iterdir()} >= {"report.md", "result.json"}
    assert not list(Path("run").glob("*.png"))


def test_a_training_that_adapts_needs_no_plots(without, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    without("matplotlib")
    words = ["train", "--loss", "adalfl", *TINY, "--out", "run"]
    words += ["--adalfl.warm-up-steps", "2", "--adalfl.record-every", "2"]
    words += ["--adalfl.trial-steps", "2"]
    assert main(words) == 0
    assert "lossforge[plots]" in capsys.readouterr().out
    assert Path("run", "adaptation.json").exists()
    assert not list(Path("run").glob("*.png"))
