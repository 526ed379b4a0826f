"""Batches are reproducible, cover every epoch, and continue where they stopped."""

import json
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lossforge.errors import ConfigurationError, DataError, FileFormatError
from lossforge.tasks import Batches, Split
from lossforge.tasks.batches import endless


def split(rows: int) -> Split:
    numbers = torch.arange(rows)
    return Split(numbers.float().view(rows, 1), numbers, numbers)


def batches(rows: int, size: int, seed: int = 0) -> Batches:
    return Batches(split(rows), size, torch.Generator().manual_seed(seed))


def draw(stream: Batches, count: int) -> list[list[int]]:
    return [stream.draw()[1].tolist() for _ in range(count)]


@given(st.integers(1, 50), st.integers(1, 60))
def test_an_epoch_gives_no_row_twice_and_drops_less_than_a_batch(rows: int, size: int):
    stream = batches(rows, size)
    assert stream.size == min(rows, size)
    for _ in range(3):
        epoch = [row for batch in draw(stream, rows // stream.size) for row in batch]
        assert len(epoch) == len(set(epoch)) > rows - stream.size


def test_epochs_are_shuffled_anew():
    first, second = draw(batches(40, 40), 2)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(40))


def test_inputs_and_targets_stay_together():
    inputs, targets = batches(40, 16).draw()
    assert torch.equal(inputs[:, 0], targets.float())
    assert inputs.shape == (16, 1)


def test_drawn_indices_are_what_draw_takes():
    by_index, by_rows = batches(40, 16), batches(40, 16)
    for _ in range(5):
        assert by_index.draw_indices().tolist() == by_rows.draw()[1].tolist()


def test_the_generator_decides_and_global_ones_stay_untouched():
    before = torch.get_rng_state()
    assert draw(batches(40, 16), 9) == draw(batches(40, 16), 9)
    assert draw(batches(40, 16), 9) != draw(batches(40, 16, seed=1), 9)
    assert torch.equal(torch.get_rng_state(), before)


@given(st.integers(0, 12))
def test_a_restored_stream_continues_identically(drawn: int):
    stream, later = batches(40, 16), batches(40, 16, seed=9)
    draw(stream, drawn)
    later.restore(json.loads(json.dumps(stream.state())))
    assert draw(later, 9) == draw(stream, 9)


def test_restoring_recovers_a_generator_that_others_draw_from():
    generator = torch.Generator().manual_seed(0)
    stream = Batches(split(40), 16, generator)
    torch.rand(7, generator=generator)
    draw(stream, 1)
    state = stream.state()
    expected = draw(stream, 9), torch.rand(3, generator=generator)
    torch.rand(5, generator=generator)
    stream.restore(state)
    assert draw(stream, 9) == expected[0]
    assert torch.equal(torch.rand(3, generator=generator), expected[1])


def test_augmentation_changes_inputs_by_the_same_generator():
    def noisy(inputs: Tensor, generator: torch.Generator) -> Tensor:
        return inputs + torch.rand(inputs.shape, generator=generator)

    first, again = (Batches(split(40), 16, torch.Generator(), noisy) for _ in range(2))
    for _ in range(5):
        inputs, targets = first.draw()
        assert torch.equal(inputs, again.draw()[0])
        assert 0 < (inputs[:, 0] - targets).min() < (inputs[:, 0] - targets).max() < 1


def test_a_batch_needs_a_row():
    with pytest.raises(ConfigurationError, match="batch_size must be at least 1, not 0"):
        batches(40, 0)


@pytest.mark.parametrize(
    "damage",
    [
        {"position": -1},
        {"position": 41},
        {"position": "x"},
        {"epoch": "AAAA"},
        {"generator": "no base64"},
        {"generator": None},
    ],
)
def test_damaged_states_are_refused(damage: dict[str, str | int]):
    stream = batches(40, 16)
    with pytest.raises(FileFormatError, match="damaged"):
        stream.restore(stream.state() | damage)
    with pytest.raises(FileFormatError, match="damaged"):
        stream.restore({})


@given(st.lists(st.integers(), min_size=1, max_size=5), st.integers(0, 17))
def test_a_loader_is_begun_anew_at_its_end(loader, count):
    found = list(islice(endless(loader), count))
    assert found == [loader[index % len(loader)] for index in range(count)]


@pytest.mark.parametrize("batches", [[], iter([1, 2])])
def test_what_cannot_be_begun_anew_is_told(batches):
    with pytest.raises(DataError, match="there are no batches to learn from"):
        list(islice(endless(batches), 3))
