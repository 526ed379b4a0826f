"""A run's journal: what it restores is what it was given, and its listener receives everything."""

import pytest

from lossforge.runs import MemoryRun, RunFolder
from lossforge.runs.journal import RunJournal


class Recorder:
    """Keeps what it receives."""

    def __init__(self) -> None:
        self.entries: list[dict] = []
        self.stages: list[tuple[str, int, int]] = []

    def generation(self, entry: dict) -> None:
        self.entries.append(entry)

    def progress(self, stage: str, done: int, total: int) -> None:
        self.stages.append((stage, done, total))


CONFIG = {"seed": 0}


def test_checkpoints_are_kept_and_reported():
    journal = RunJournal(MemoryRun(CONFIG), listener := Recorder())
    assert journal.restore() is None
    assert listener.entries == []
    for generation in range(3):
        journal.checkpoint({"round": generation}, {"generation": generation})
    journal.progress("fitness", 2, 5)
    assert [entry["generation"] for entry in listener.entries] == [0, 1, 2]
    assert listener.stages == [("fitness", 2, 5)]


@pytest.mark.parametrize("count", [1, 3])
def test_an_interrupted_run_goes_on_where_it_was_and_says_so(count, tmp_path):
    begun = RunJournal(RunFolder.create(tmp_path / "run", CONFIG, overwrite=False), Recorder())
    for generation in range(count):
        begun.checkpoint({"round": generation}, {"generation": generation})
    listener = Recorder()
    resumed = RunJournal(RunFolder.open(tmp_path / "run"), listener)
    assert resumed.restore() == {"round": count - 1}
    assert [entry["generation"] for entry in listener.entries] == [count - 1]
