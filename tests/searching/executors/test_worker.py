"""A worker's messages: results, progress now and then, and failures that can be sent."""

from multiprocessing import Pipe

import pytest
import torch

from lossforge.errors import DataError
from lossforge.searching.executors.worker import (
    KEPT,
    Message,
    Order,
    _Worker,
    is_out_of_memory,
    load_work,
    receive,
    save_work,
    send,
)
from searching.executors.jobs import Faulty, Shared, square


@pytest.fixture
def ends():
    here, there = Pipe()
    yield here, there
    here.close()
    there.close()


def said(connection) -> list[Message]:
    messages = []
    while connection.poll():
        messages.append(receive(connection))
    return messages


def test_tensors_are_sent_as_they_are(ends):
    here, there = ends
    sent = {"weights": torch.arange(6.0).reshape(2, 3), "step": 4}
    send(here, sent)
    found = receive(there)
    assert torch.equal(found["weights"], sent["weights"])
    assert found["step"] == 4


def test_a_function_is_read_as_it_was_written(tmp_path):
    save_work(Shared(torch.ones(5)), tmp_path / "work.pt")
    _, total, _ = load_work(tmp_path / "work.pt")(3, None)
    assert total == 8.0


def test_a_job_is_answered_with_its_number(ends, tmp_path):
    here, there = ends
    save_work(square, tmp_path / "work.pt")
    _Worker(there).carry_out(Order(7, 5, tmp_path / "work.pt"))
    *progress, last = said(here)
    assert last == Message("done", 7, 25)
    assert progress[-1] == Message("progress", 7, ("training", 2, 2))


def test_progress_is_told_now_and_then_and_always_at_the_end(ends, tmp_path, monkeypatch):
    here, there = ends
    seconds = iter(range(1, 100))
    monkeypatch.setattr("time.monotonic", lambda: next(seconds) / 20)
    report = _Worker(there)._report_of(0)
    for stage in ("warming up", "training"):
        for done in range(1, 9):
            report(stage, done, 8)
    told = [message.content for message in said(here)]
    assert [done for stage, done, _ in told if stage == "training"] == [1, 5, 8]
    assert ("warming up", 8, 8) in told


@pytest.mark.parametrize(
    ("how", "kind"),
    [("memory", "exhausted"), ("torch memory", "exhausted"), ("error", "failed")],
)
def test_failures_are_told_from_exhaustion(how, kind, ends, tmp_path):
    here, there = ends
    save_work(Faulty(tmp_path, how, times=1), tmp_path / "work.pt")
    worker = _Worker(there)
    worker.carry_out(Order(2, 1, tmp_path / "work.pt"))
    (message,) = said(here)
    assert (message.kind, message.number) == (kind, 2)
    worker.carry_out(Order(3, 1, tmp_path / "work.pt"))  # it goes on
    assert said(here)[-1] == Message("done", 3, 10)
    if kind == "failed":
        assert isinstance(message.content, DataError)
    else:
        assert message.content.startswith("out of memory (")


def test_an_error_that_cannot_be_sent_is_told_by_name(ends, tmp_path):
    here, there = ends
    save_work(Faulty(tmp_path, "own error", times=1), tmp_path / "work.pt")
    _Worker(there).carry_out(Order(0, 1, tmp_path / "work.pt"))
    (message,) = said(here)
    assert type(message.content) is RuntimeError
    assert "_OwnError" in str(message.content)


def test_a_worker_keeps_few_functions(ends, tmp_path):
    _, there = ends
    worker = _Worker(there)
    paths = [tmp_path / f"{i}.pt" for i in range(KEPT + 1)]
    for index, path in enumerate(paths):
        save_work(Shared(torch.full((1,), float(index))), path)
        worker.carry_out(Order(index, 0, path))
    assert list(worker._works) == paths[1:]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"), True),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("DefaultCPUAllocator"), False),
    ],
)
def test_what_says_that_memory_did_not_suffice(error, expected):
    assert is_out_of_memory(error) is expected
