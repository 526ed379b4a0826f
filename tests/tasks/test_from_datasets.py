"""Data sets of any form become the same task as their tensors; malformed ones are told."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import lossforge as lf
from lossforge.errors import DataError
from lossforge.tasks import Task
from lossforge.tasks.from_datasets import from_datasets
from lossforge.tasks.row_source import FileRows, RowSource

N = 80
INPUTS = torch.randn(N, 5, generator=torch.Generator().manual_seed(0))
LABELS = (INPUTS[:, 0] > 0).long() + (INPUTS[:, 1] > 0).long()
VALUES = INPUTS[:, :1] * 2


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(INPUTS, LABELS, strict=True)


class Lazy(Dataset):
    def __init__(self, items: list) -> None:
        self.items, self.asked = items, 0

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int):
        self.asked += 1
        return self.items[index]


PAIRS = list(zip(INPUTS, LABELS, strict=True))
FORMS = {
    "tensors": TensorDataset(INPUTS, LABELS),
    "map": Lazy(PAIRS),
    "stream": Stream(),
    "pairs": PAIRS,
    "loader": DataLoader(TensorDataset(INPUTS, LABELS), batch_size=7, shuffle=True),
    "mappings": [{"inputs": x, "label": int(y)} for x, y in PAIRS],
    "arrays": [(x.numpy().astype(np.float64), np.int32(y)) for x, y in PAIRS],
    "lists": [(x.tolist(), int(y)) for x, y in PAIRS],
    "generator": (pair for pair in PAIRS),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_task(form: str):
    expected = from_datasets(TensorDataset(INPUTS, LABELS), split_seed=3)
    task = from_datasets(FORMS[form], split_seed=3)
    assert task.fingerprint() == expected.fingerprint()
    assert len(task.train) + len(task.valid) + len(task.test) == N
    assert task.outputs == 3


@pytest.mark.parametrize("source", ["stream", "map"])
def test_what_memory_does_not_hold_goes_to_a_file_and_trains_alike(source: str, tmp_path):
    kept = from_datasets(FORMS[source])
    task = from_datasets(FORMS[source], memory=100, cache_dir=tmp_path)
    assert isinstance(task.train.inputs, RowSource)
    assert list(tmp_path.glob("lossforge-*/rows"))
    for part in ("train", "valid", "test"):
        own, other = getattr(task, part), getattr(kept, part)
        assert torch.equal(own.inputs[0 : len(own)], other.inputs)
        assert torch.equal(own.targets, other.targets)
    reports = [
        lf.train(each, model="mlp:width=8", steps=30, progress=False) for each in (task, kept)
    ]
    assert reports[0].result["test"] == reports[1].result["test"]
    assert reports[0].result["curve"] == reports[1].result["curve"]


def test_a_file_of_given_splits_is_not_copied():
    task = from_datasets(PAIRS, PAIRS[:20], PAIRS[20:40], memory=0)
    assert all(isinstance(s.inputs, FileRows) for s in (task.train, task.valid, task.test))
    assert (len(task.train), len(task.valid), len(task.test)) == (80, 20, 20)


def test_only_one_missing_split_is_taken_from_the_training_rows():
    task = from_datasets(PAIRS, test=PAIRS[:10])
    assert (len(task.train) + len(task.valid), len(task.test)) == (80, 10)
    assert abs(len(task.valid) - 20) <= 1


def test_values_are_regressed():
    task = from_datasets(list(zip(INPUTS, VALUES[:, 0], strict=True)))
    assert task.metric == "mse"
    assert task.train.targets.shape == (len(task.train), 1)


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(5, 3), nn.Linear(2, 3)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.left(left) + self.right(right)


@pytest.mark.parametrize("form", ["mapping", "tuple"])
def test_several_inputs_reach_the_network(form: str):
    right = torch.randn(N, 2, generator=torch.Generator().manual_seed(0))
    if form == "mapping":
        items = [
            {"left": x, "right": r, "label": y}
            for x, r, y in zip(INPUTS, right, LABELS, strict=True)
        ]
    else:
        items = list(zip(INPUTS, right, LABELS, strict=True))
    task = from_datasets(items)
    report = lf.train(task, model=Two, steps=200, learning_rate=0.1, progress=False)
    assert report.result["test"] < 0.4


def words(count: int, labelled: bool) -> list:
    generator = torch.Generator().manual_seed(1)
    made = []
    for number in range(count):
        length = int(torch.randint(2, 7, (1,), generator=generator))
        tokens = torch.randint(1, 9, (length,), generator=generator)
        made.append((tokens, tokens % 2 if labelled else number % 2))
    return made


def test_rows_of_other_lengths_are_padded_to_the_longest_of_all_splits():
    items = words(60, labelled=False)
    task = from_datasets(items[:40], items[40:50], items[50:])
    longest = max(len(tokens) for tokens, _ in items)
    assert task.input_shape == (longest,)
    first = items[0][0]
    assert torch.equal(task.train.inputs[0, : len(first)], first)
    assert not task.train.inputs[0, len(first) :].any()


@pytest.mark.parametrize("ragged", [0, 1, 2])
def test_one_data_set_of_other_lengths_pads_all(ragged: int):
    fixed = [(torch.ones(4, dtype=torch.int64), i % 2) for i in range(20)]
    sets = [fixed, fixed, fixed]
    sets[ragged] = [(torch.ones(3 + i % 5, dtype=torch.int64), i % 2) for i in range(20)]
    task = from_datasets(*sets)
    assert {split.inputs.shape[1] for split in (task.train, task.valid, task.test)} == {7}


def test_collated_rows_are_read_when_a_batch_needs_them():
    def collate(rows: list[Tensor]) -> Tensor:
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=9)

    dataset = Lazy(words(60, labelled=False))
    task = from_datasets(dataset, collate=collate, memory=0)
    assert dataset.asked == 60
    batch = task.train.inputs.index_select(0, torch.tensor([0, 1, 2]))
    assert dataset.asked == 63
    assert batch.shape[0] == 3
    assert int(batch.max()) == 9


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ([], "the train data set is empty"),
        ((x for x in ()), "is empty; a generator can be read once"),
        ("iris.csv", "the train data set is a str; give a Dataset"),
        (INPUTS, "the train data set is a Tensor"),
        (5, "the train data set is a int, which cannot be iterated over"),
        ([1.0] * 30, "an item of the train data set is a float; each must be a pair"),
        ([{"x": 1.0, "z": 2}] * 30, "has the keys x, z; name exactly one of them target"),
        ([("word", 1)] * 30, "holds a str where numbers are needed"),
        ([(torch.zeros(2), "cat")] * 30, "holds a str where numbers are needed"),
        ([(torch.zeros(2, dtype=torch.complex64), 1)] * 30, "complex numbers"),
        ([(torch.zeros(2, 3), 0), (torch.zeros(3, 2), 1)] * 20, "shapes (2, 3) and (3, 2)"),
        ([(torch.full((2,), torch.nan), i % 2) for i in range(40)], "NaN, infinite"),
        ([(torch.zeros(2), i % 3 + 1) for i in range(60)], "no training row of class 0"),
        ([(torch.zeros(2), i % 2) for i in range(6)], "6 rows are too few to split"),
    ],
)
def test_mistakes_are_one_line(source, complaint: str):
    with pytest.raises(DataError) as caught:
        from_datasets(source)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_data_set_that_fails_is_named():
    class Failing(Lazy):
        def __getitem__(self, index: int):
            raise OSError("disk\ngone")

    with pytest.raises(DataError, match="reading the train data set failed: disk gone"):
        from_datasets(Failing(PAIRS))


def test_memory_stays_small_where_rows_go_to_a_file():
    class Wide(IterableDataset):
        def __iter__(self) -> Iterator[tuple[Tensor, int]]:
            for number in range(400):
                yield torch.full((50_000,), float(number)), number % 2

    task = Task.from_datasets(Wide(), memory=2**22)
    tracemalloc.start()
    first = task.train.inputs.index_select(0, torch.tensor([0, 1]))
    assert first.shape == (2, 50_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**21
