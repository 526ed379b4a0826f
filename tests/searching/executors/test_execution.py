"""Where trainings run: settings that are checked, and the executor that they stand for."""

import pytest

from lossforge.errors import LossforgeError, MissingPackageError
from lossforge.extras import has_extra
from lossforge.searching.executors import Automatic, Execution, Here, LocalPool


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"workers": 1.5},
        {"workers": "many"},
        {"executor": "slurm"},
        {"address": "auto"},
        {"worker_gpus": 1},
        {"worker_cores": 0, "executor": "ray"},
        {"trial_timeout": -1},
        {"max_time": "soon"},
    ],
)
def test_settings_are_checked(wrong):
    with pytest.raises(LossforgeError):
        Execution(**wrong)


@pytest.mark.parametrize(
    ("settings", "cores", "kind", "workers"),
    [
        ({}, 4, Here, 1),
        ({"workers": 3}, 4, LocalPool, 3),
        ({"workers": "auto"}, 4, Automatic, 4),
        ({"workers": "auto"}, 1, Here, 1),
        ({"trial_timeout": 60}, 4, LocalPool, 1),
    ],
)
def test_the_executor_follows_from_them(settings, cores, kind, workers, monkeypatch):
    module = "lossforge.searching.executors.execution"
    monkeypatch.setattr(f"{module}.usable_cores", lambda: cores)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with Execution(**settings).open() as executor:
        assert type(executor) is kind
        assert executor.workers == workers


@pytest.mark.skipif(has_extra("ray"), reason="Ray is installed")
def test_a_cluster_needs_ray():
    with pytest.raises(MissingPackageError, match=r"lossforge\[ray\]"):
        Execution(executor="ray").open()
