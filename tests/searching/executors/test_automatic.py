"""Work begins here, and goes to the pool when there is enough of it; results are the same."""

import pytest

from lossforge.searching.executors import Automatic
from lossforge.searching.executors.executor import Executor, Here


class Recorder(Executor):
    """Stands for a pool, and keeps what it is given."""

    workers = 2

    def __init__(self, looks: int = 0):
        self.given, self.closed, self.starts, self.looks = [], False, 0, looks

    def start(self):
        self.starts += 1

    @property
    def has_started(self):
        return self.starts > self.looks

    def map(self, work, jobs, report=None, give_up=None):
        self.given += jobs
        yield from Here().map(work, jobs, report)

    def close(self):
        self.closed = True


class Slow:
    """Takes four seconds a job, by a clock of its own."""

    def __init__(self, monkeypatch):
        self.now, self.begun = 0.0, []
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def __call__(self, job, report):
        self.begun.append(job)
        for done in (1, 2, 3, 4):
            self.now += 1
            report("training", done, 4)
        return -job


@pytest.fixture
def slow(monkeypatch) -> Slow:
    return Slow(monkeypatch)


@pytest.mark.parametrize(
    ("patience", "to_the_pool", "begun"),
    [
        (100, [], [1, 2, 3, 4, 5]),  # never worth it
        (8, [3, 4, 5], [1, 2, 3, 4, 5]),  # the patience ends with a job
        (5, [2, 3, 4, 5], [1, 2, 2, 3, 4, 5]),  # early in one, which is begun anew
        (7, [3, 4, 5], [1, 2, 3, 4, 5]),  # late in one, which is completed
        (0, [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
    ],
)
def test_workers_start_when_the_patience_ends(patience, to_the_pool, begun, slow):
    pool = Recorder()
    found = list(Automatic(pool, patience).map(slow, [1, 2, 3, 4, 5]))
    assert found == [-1, -2, -3, -4, -5]
    assert pool.given == to_the_pool
    assert slow.begun == begun


def test_work_goes_on_here_while_workers_start(slow):
    pool = Recorder(looks=3)
    assert list(Automatic(pool, 4).map(slow, [1, 2, 3, 4, 5])) == [-1, -2, -3, -4, -5]
    assert pool.given == [3, 4, 5]
    assert slow.begun == [1, 2, 3, 4, 5]


def test_progress_is_told_with_the_index_of_its_job(slow):
    told = []
    automatic = Automatic(Recorder(), 6)
    list(automatic.map(slow, [5, 6, 7], lambda *each: told.append(each)))
    assert {each[0] for each in told} == {0, 1, 2}
    assert [each for each in told if each[2] == 4] == [(i, "training", 4, 4) for i in range(3)]


def test_a_job_alone_is_computed_here_and_spends_no_patience(slow):
    pool = Recorder()
    automatic = Automatic(pool, 3)
    for job in range(4):
        assert list(automatic.map(slow, [job])) == [-job]
    assert pool.given == []
    assert not automatic.has_started


def test_patience_is_that_of_all_calls_together(slow):
    pool = Recorder()
    automatic = Automatic(pool, 12)
    for _ in range(3):
        list(automatic.map(slow, [1, 2]))  # four seconds count: the last job waits for none
    assert automatic.has_started
    assert pool.given == []
    list(automatic.map(slow, [1, 2]))
    assert pool.given == [1, 2]


def test_an_error_of_a_job_is_raised(slow):
    def broken(job, report):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(Automatic(Recorder(), 5).map(broken, [1, 2]))


def test_closing_it_closes_the_pool():
    pool = Recorder()
    with Automatic(pool) as automatic:
        assert automatic.workers == pool.workers
    assert pool.closed
