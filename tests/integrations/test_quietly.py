"""Nothing of a user's training changes by an adaptive loss."""

import random
from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader

from lossforge.errors import ConfigurationError, DataError
from lossforge.integrations.quietly import (
    Batches,
    attributes_kept,
    before_scheduling,
    gradients_kept,
    norm,
    require_clipped,
    seeded,
)


def randomness() -> tuple:
    return (
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),
    )


class Noisy(torch.utils.data.Dataset):
    """Rows that are augmented with every kind of random number."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> torch.Tensor:
        noise = random.random() + np.random.random() + torch.rand(())
        return torch.as_tensor(index + 0.1 * noise)


def loader(generator: torch.Generator | None = None) -> DataLoader:
    return DataLoader(Noisy(), batch_size=2, shuffle=True, generator=generator)


def drawn(batches: Batches, count: int) -> list[list[float]]:
    return [next(batches).tolist() for _ in range(count)]


@given(seed=st.integers(0, 2**62), at=st.integers(0, 11), own=st.booleans())
@settings(max_examples=20, deadline=None)
def test_batches_are_resumed_and_leave_no_trace(seed, at, own):
    def same(batch):
        return batch

    generator = torch.Generator().manual_seed(5) if own else None
    state = generator.get_state().tolist() if own else None
    before = randomness()
    whole = drawn(Batches(loader(generator), seed, same), 12)
    first = Batches(loader(generator), seed, same)
    drawn(first, at)
    second = Batches(loader(generator), seed, same)
    second.load_state_dict(first.state_dict())
    assert drawn(second, 12 - at) == whole[at:]
    assert randomness() == before
    if generator is not None:
        assert generator.get_state().tolist() == state
    assert whole[:4] != whole[4:8]  # each round has its own order


def test_rounds_hold_every_row():
    rows = DataLoader(torch.arange(7), batch_size=2, shuffle=True)
    found = drawn(Batches(rows, 0, lambda batch: batch), 8)
    for part in (found[:4], found[4:]):
        assert sorted(row for batch in part for row in batch) == list(range(7))
    assert found[:4] != found[4:]


def test_an_empty_loader_is_an_error():
    with pytest.raises(DataError, match="no validation batches"):
        next(Batches([], 0, lambda batch: batch))


def test_seeded_blocks_repeat_and_leave_no_trace():
    before = randomness()
    found = []
    for _ in range(2):
        with seeded(2**40 + 3):
            found.append((torch.rand(2).tolist(), random.random(), np.random.random()))
    assert found[0] == found[1]
    assert randomness() == before


def test_attributes_are_kept():
    module = nn.Sequential(nn.Linear(2, 2))
    part = module[0]
    part.count, part.seen, part.table = 1, [1], {"a": 1}
    part.last, part.sum, part.names = deque([1], maxlen=2), torch.zeros(2), {"x"}
    seen = part.seen
    with attributes_kept(module):
        part.count += 1
        part.seen.append(2)
        part.table["b"] = 2
        part.last.append(3)
        part.names.add("y")
        part.sum += 1
        part.new = True
        module.eval()
    assert (part.count, part.seen, part.table, list(part.last)) == (1, [1], {"a": 1}, [1])
    assert part.names == {"x"}
    assert part.sum.tolist() == [0, 0]
    assert part.seen is seen
    assert not hasattr(part, "new")
    assert module.training
    assert part.training


def test_gradients_and_rates_are_kept():
    theta = nn.Parameter(torch.ones(2))
    theta.grad = g = torch.ones(2)
    with gradients_kept([theta]):
        theta.grad = None
    assert theta.grad is g
    optimizer = torch.optim.SGD([theta], 0.1)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0)
    assert optimizer.param_groups[0]["lr"] == 0
    with before_scheduling(optimizer):
        assert optimizer.param_groups[0]["lr"] == 0.1
    assert optimizer.param_groups[0]["lr"] == 0


def test_gradients_that_somebody_changed_are_an_error():
    theta = nn.Parameter(torch.ones(2))
    theta.grad = torch.tensor([3.0, 4.0])
    require_clipped(norm([theta.grad, None]), [theta], "leave them")
    with pytest.raises(ConfigurationError, match=r"norm 4 had 5 .*leave them"):
        require_clipped(torch.tensor(4.0), [theta], "leave them")
