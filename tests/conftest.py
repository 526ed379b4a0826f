"""Fixtures and settings that all tests share."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

settings.register_profile(
    "lossforge", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lossforge")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Use one thread: tests are small, and threads wait for one another on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded generator, fresh for each test."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data; tests that need it skip where it is missing."""
    root = Path(__file__).resolve().parents[1]
    candidates = [Path(os.environ["LOSSFORGE_DATA"])] if "LOSSFORGE_DATA" in os.environ else []
    for folder in [*candidates, root.parent / "shared" / "data"]:
        if folder.is_dir():
            return folder
    pytest.skip("real data are missing: set LOSSFORGE_DATA to the folder that holds them")
