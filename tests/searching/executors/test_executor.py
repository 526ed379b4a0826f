"""What executors share: jobs in order, progress by job, and sums of progress."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossforge.searching.executors.executor import Executor, Here, Tally, of_job
from searching.executors.jobs import square


@given(st.lists(st.integers(-9, 9), max_size=5))
def test_jobs_are_computed_here_in_order_with_their_progress(jobs):
    told = []
    assert list(Here().map(square, jobs, lambda *each: told.append(each))) == [j * j for j in jobs]
    assert told == [(i, "training", done, 2) for i in range(len(jobs)) for done in (1, 2)]


def test_a_job_is_computed_when_its_result_is_asked_for():
    computed = []
    results = Here().map(lambda job, _: computed.append(job), [1, 2, 3])
    next(results)
    assert computed == [1]


def test_errors_come_through_even_where_jobs_may_be_given_up():
    def broken(job: int, report: object) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(Here().map(broken, [1], give_up=lambda *_: 0))


def test_an_executor_is_closed_after_its_block_and_after_an_error():
    class Closing(Executor):
        workers, closed = 1, 0

        def map(self, work, jobs, report=None, give_up=None):
            yield from ()

        def close(self):
            self.closed += 1

    executor = Closing()
    with executor as entered:
        assert entered is executor
        assert executor.closed == 0
    with pytest.raises(ZeroDivisionError), executor:
        raise ZeroDivisionError
    assert executor.closed == 2


def test_progress_of_a_job_has_its_index():
    told = []
    of_job(3, lambda *each: told.append(each))("training", 1, 9)
    assert told == [(3, "training", 1, 9)]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 10)), min_size=1, max_size=20))
def test_a_tally_is_the_sum_of_what_each_job_told_last(events):
    told, last = [], {0: 0, 1: 0, 2: 0}
    tally = Tally(lambda *each: told.append(each), "comparing", jobs=3, workers=2)
    for job, done in events:
        last[job] = done
        tally(job, "training", done, 10)
        assert told[-1] == ("comparing", sum(last.values()), 30)


@pytest.mark.parametrize(("workers", "expected"), [(1, [("warming up", 1, 4)]), (2, [])])
def test_other_stages_are_told_where_jobs_come_one_by_one(workers, expected):
    told = []
    Tally(lambda *each: told.append(each), "comparing", 2, workers)(0, "warming up", 1, 4)
    assert told == expected
