"""The page that a run ends with: it fails no run, and is made of what the run wrote."""

import json
import logging

import pytest

import lossforge as lf
from lossforge.experiments import TrainingReport
from lossforge.experiments.pages import ENVIRONMENT, LEARNED, PAGE, facts_of, keep_page
from lossforge.losses import Focal, Huber
from lossforge.runs import MemoryRun, RunFolder


def test_a_page_that_cannot_be_made_fails_no_run(tmp_path, monkeypatch, caplog):
    def broken(*_):
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("lossforge.experiments.pages.write_page", broken)
    with caplog.at_level(logging.WARNING, "lossforge"):
        report = lf.train("iris", model="linear", steps=5, out=tmp_path / "run", progress=False)
    assert report.result["step"] == 5
    assert "report.html could not be written: of all things" in caplog.text


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> TrainingReport:
    """A training on disk."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    loss = "focal:gamma=2"
    return lf.train("iris", loss, "linear", steps=4, check_every=2, out=folder, progress=False)


def test_a_run_in_memory_has_no_page(monkeypatch):
    written = []
    monkeypatch.setattr(
        "lossforge.experiments.pages.write_page", lambda *page: written.append(page)
    )
    keep_page(MemoryRun({}), [], "", None)
    assert written == []


def test_the_environment_is_kept_beside_the_page(trained):
    kept = json.loads((trained.path / ENVIRONMENT).read_text())
    assert {"Python", "torch"} <= set(kept)
    assert dict(facts_of(trained.run, [], "", None).environment) == kept
    assert kept["torch"] in (trained.path / PAGE).read_text()


def test_facts_are_what_the_run_wrote(trained):
    opened = RunFolder.open(trained.path)
    told = facts_of(opened, trained.tables(), "a sentence", "a command")
    assert (told.config, told.result, told.path) == (opened.config, opened.result, trained.path)
    assert (told.sentence, told.repeat) == ("a sentence", "a command")
    assert list(map(str, told.losses.values())) == [str(Focal(2.0))]


def test_the_history_of_an_opened_folder_is_read_from_its_file(trained):
    written = (trained.path / "history.jsonl").read_text().splitlines()
    found = facts_of(RunFolder.open(trained.path), [], "", None).history
    assert found == [json.loads(line) for line in written]
    assert len(found) > 0


def run_of(config) -> MemoryRun:
    run = MemoryRun(config)
    run.write_result({})
    return run


def test_a_run_that_found_a_loss_shows_that_one():
    run = run_of({"loss": "focal"})
    run.write_loss(Huber(0.5))
    assert {n: str(each) for n, each in facts_of(run, [], "", None).losses.items()} == {
        LEARNED: "huber:delta=0.5"
    }


def test_losses_that_cannot_be_made_again_are_left_out():
    run = run_of({"grid": {"losses": ["cross_entropy", "adalfl", "gone", "focal:gamma=1"]}})
    assert list(facts_of(run, [], "", None).losses) == ["cross_entropy", "focal:gamma=1"]
