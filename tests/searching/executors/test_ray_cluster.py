"""The executor on Ray: results in order, on the same data, and faults that cost a retry."""

import os
import sys

import pytest
import torch

from lossforge.errors import DataError
from lossforge.extras import has_extra
from lossforge.methods import EvoMAL
from lossforge.searching.executors import Here, WorkerError
from searching.executors.jobs import Faulty, Shared, square

pytestmark = [
    pytest.mark.skipif(not has_extra("ray"), reason="Ray is not installed"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]


@pytest.fixture(scope="module")
def cluster():
    from lossforge.searching.executors.ray_cluster import RayCluster

    # Ray's workers find the jobs' module by the environment, not by what pytest adds to the path.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(each for each in sys.path if each))
        with RayCluster(2) as cluster:
            yield cluster


def test_results_come_in_the_order_of_the_jobs(cluster):
    assert cluster.workers == 2
    assert list(cluster.map(square, range(6))) == [0, 1, 4, 9, 16, 25]
    assert list(cluster.map(square, [])) == []


def test_jobs_see_the_shared_data_and_use_one_thread(cluster):
    found = list(cluster.map(Shared(torch.ones(1000)), range(4)))
    assert [(total, threads) for _, total, threads in found] == [(1000.0 + i, 1) for i in range(4)]


@pytest.mark.parametrize("how", ["killed", "memory"])
def test_a_fault_costs_a_retry(cluster, tmp_path, how):
    assert list(cluster.map(Faulty(tmp_path, how, times=2), range(3))) == [0, 10, 20]


def test_what_fails_three_times_is_given_up(cluster, tmp_path):
    work = Faulty(tmp_path, "memory", times=9)
    assert list(cluster.map(work, range(3), give_up=lambda job, reason: reason))[1].startswith(
        "failed 3 times; at last out of memory"
    )
    with pytest.raises(WorkerError):
        list(cluster.map(work, range(3)))


def test_errors_of_a_job_are_raised(cluster, tmp_path):
    with pytest.raises(DataError):
        list(cluster.map(Faulty(tmp_path, "error", times=1), range(3)))


def test_a_search_finds_what_it_finds_here(cluster):
    search = EvoMAL().with_options(
        **{"population": 6, "generations": 3, "islands": 2, "finalists": 3},
        **{"fitness_steps": 12, "filter_steps": 10, "meta_steps": 2},
    )
    found = [
        search.run("iris", "linear", 4, progress=False, executor=executor)
        for executor in (Here(), cluster)
    ]
    weights = [
        {name: value.tolist() for name, value in each.loss.weights().items()} for each in found
    ]
    assert weights[0] == weights[1]
    assert str(found[0].loss) == str(found[1].loss)
    assert (found[0].valid, found[0].counts) == (found[1].valid, found[1].counts)


def test_no_room_is_an_error(cluster):
    from lossforge.searching.executors.ray_cluster import RayCluster

    with pytest.raises(WorkerError, match="no room"):
        RayCluster(cores=1000)
