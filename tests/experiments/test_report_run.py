"""Pages and reports of complete runs, when asked for."""

import json

import pytest

import lossforge as lf
from lossforge.errors import ConfigurationError, LossforgeError, RunError, UnknownNameError
from lossforge.experiments import TrainingReport, open_run
from lossforge.runs import RunFolder


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> TrainingReport:
    """A training on disk."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    return lf.train("iris", model="linear", steps=5, out=folder, progress=False)


def test_an_opened_run_is_the_report_that_was_returned(trained):
    opened = open_run(trained.path)
    assert type(opened) is TrainingReport
    assert opened.result == json.loads(json.dumps(trained.result))
    assert opened.command() == trained.command()


def test_the_page_is_the_one_that_the_run_ended_with(trained, tmp_path):
    again = lf.report(open_run(trained.path), out=tmp_path / "page.html")
    assert again.read_text() == (trained.path / "report.html").read_text()


def test_it_stands_in_the_folder_of_the_run_by_default(trained):
    path = trained.path / "report.html"
    before = path.read_text()
    path.write_text("")
    assert lf.report(str(trained.path)) == path
    assert path.read_text() == before


def test_a_folder_is_no_name_of_a_page(trained, tmp_path):
    with pytest.raises(RunError, match="is a folder; give the name of an HTML file"):
        lf.report(trained, out=tmp_path)


def test_a_command_without_a_report_is_told(tmp_path):
    run = RunFolder.create(tmp_path / "run", {"command": "trian"}, overwrite=False)
    run.write_result({})
    with pytest.raises(UnknownNameError, match="did you mean 'train'"):
        open_run(tmp_path / "run")


def test_a_run_in_memory_has_a_page_where_it_is_told(tmp_path):
    report = lf.train("iris", model="linear", steps=5, progress=False)
    with pytest.raises(ConfigurationError, match="give out="):
        lf.report(report)
    assert lf.report(report, out=tmp_path / "page.html").is_file()


@pytest.mark.parametrize("given", [3, None, "nowhere"])
def test_what_is_no_run_is_told(given):
    with pytest.raises(LossforgeError):
        lf.report(given)
