"""A Ray cluster of three nodes, each with processes of its own: one of them is killed."""

import os
import sys
import threading
from typing import Any

import pytest

import lossforge as lf
from lossforge.extras import has_extra
from lossforge.searching.executors import Executor, Here

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_extra("ray"), reason="Ray is not installed"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
SETTINGS = {
    # By default a node counts as lost after some 30 seconds without a sign.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "10",
    # By default workers give way to all other processes: beside others they take minutes to start.
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
LONGEST = 150
"""seconds that the search on the cluster may take"""


class Watched(Executor):
    """Another executor that says when it has computed so many jobs."""

    def __init__(self, executor: Executor, jobs: int):
        self.workers, self._executor, self._left = executor.workers, executor, jobs
        self.reached = threading.Event()

    def map(self, *arguments: Any, **more: Any) -> Any:
        for result in self._executor.map(*arguments, **more):
            self._left -= 1
            if self._left == 0:
                self.reached.set()
            yield result

    def close(self) -> None: ...


def searched(executor: Executor) -> tuple[Any, ...]:
    method = lf.EvoMAL().with_options(
        **{"population": 8, "generations": 3, "fitness_steps": 150, "filter_steps": 10},
        **{"meta_steps": 5, "stacking": "separate", "finalists": 2},
    )
    found = method.run("digits", "mlp:width=32", 0, progress=False, executor=executor)
    weights = {name: value.tolist() for name, value in found.loss.weights().items()}
    return found.valid, weights, dict(found.counts), str(found.loss)


def test_a_search_that_loses_a_node_finds_the_same(monkeypatch):
    from ray.cluster_utils import Cluster

    from lossforge.searching.executors.ray_cluster import RayCluster

    expected = searched(Here())
    # Nodes find this version of lossforge by the environment.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(each for each in sys.path if each))
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
    try:
        lost = cluster.add_node(**NODE)
        cluster.add_node(**NODE)
        with RayCluster(address=cluster.address) as executor:
            assert executor.workers == 3
            watched = Watched(executor, jobs=4)
            found: list[tuple[Any, ...]] = []
            search = threading.Thread(target=lambda: found.append(searched(watched)), daemon=True)
            search.start()
            assert watched.reached.wait(LONGEST), "no job was computed"
            assert search.is_alive(), "the search ended before a node was lost"
            cluster.remove_node(lost, allow_graceful=False)
            search.join(LONGEST)
            assert found == [expected]
    finally:
        cluster.shutdown()
