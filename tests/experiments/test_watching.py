"""How an experiment is watched: whether progress is shown, or more than that."""

import pytest

import lossforge as lf
from lossforge.experiments.watching import Watching, as_watching


@pytest.mark.parametrize("shown", [True, False, "json"])
def test_whether_progress_is_shown_is_a_way_of_watching(shown):
    assert as_watching(shown) == Watching(shown, ())


def test_a_way_of_watching_stays_what_it_is():
    watching = Watching(False, (lambda run: None,))
    assert as_watching(watching) is watching


class Recorder:
    """Keeps what it receives."""

    def __init__(self):
        self.entries, self.results, self.closed = [], [], 0

    def entry(self, number, entry):
        self.entries.append((number, entry))

    def result(self, result):
        self.results.append(result)

    def close(self):
        self.closed += 1


def test_every_logger_receives_the_history_and_the_results(capsys):
    one, two = Recorder(), Recorder()
    watching = Watching(False, (lambda run: one, lambda run: two))
    report = lf.train("iris", model="linear", steps=4, check_every=2, progress=watching)
    for logger in (one, two):
        assert [number for number, _ in logger.entries] == [1, 2]
        assert [entry["step"] for _, entry in logger.entries] == [2, 4]
        assert [each["test"] for each in logger.results] == [report.result["test"]]
        assert logger.closed == 1
    assert capsys.readouterr().err == ""
