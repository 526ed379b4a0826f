"""A Ray cluster of three nodes, each a set of processes of its own: one of them is killed."""

import threading
import time
from typing import Any

import pytest

import lossforge as lf
from lossforge.extras import has_extra
from lossforge.searching.executors import Executor, Here

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_extra("ray"), reason="Ray is not installed"),
    pytest.mark.filterwarnings("ignore"),  # of Ray's own
]


def searched(executor: Executor) -> tuple[Any, ...]:
    method = lf.EvoMAL.preset("quick").with_options(
        **{"population": 24, "generations": 3, "fitness_steps": 150, "filter_steps": 20},
        **{"meta_steps": 4, "finalists": 4, "final_kept": 2},
    )
    found = method.run("digits", "mlp:width=64", 0, progress=False, executor=executor)
    weights = {name: value.tolist() for name, value in found.loss.weights().items()}
    return found.valid, weights, dict(found.counts), str(found.loss)


def test_a_search_that_loses_a_node_finds_the_same():
    from ray.cluster_utils import Cluster

    from lossforge.searching.executors.ray_cluster import RayCluster

    expected = searched(Here())
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    lost = cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    try:
        with RayCluster(3, address=cluster.address) as executor:
            assert executor.workers == 3
            found: list[tuple[Any, ...]] = []
            search = threading.Thread(target=lambda: found.append(searched(executor)))
            search.start()
            time.sleep(5)
            assert search.is_alive(), "the search ended before a node was lost"
            cluster.remove_node(lost, allow_graceful=False)
            search.join()
    finally:
        cluster.shutdown()
    assert found == [expected]
