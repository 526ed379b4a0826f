"""Comparisons from Python: pairs by seed, cells that depend on nothing else."""

import pytest

import lossforge as lf
from lossforge.losses import Focal

TRAIN = {"steps": 20, "check_every": 10}


@pytest.fixture(scope="module")
def report():
    return lf.compare(
        ["cross_entropy", "focal"], ["iris", "wine", "digits"], "linear",
        seeds=2, progress=False, **TRAIN,
    )  # fmt: skip


def test_differences_are_of_the_same_seeds(report):
    lines = {(line["task"], line["loss"]): line for line in report.result["lines"]}
    rows = {(row["task"], row["loss"]): row for row in report.rows()}
    for task in ("iris", "wine", "digits"):
        first, second = lines[task, "cross_entropy"], lines[task, "focal"]
        pairs = zip(second["tests"], first["tests"], strict=True)
        mean = sum(a - b for a, b in pairs) / 2
        assert first["against"] is None
        assert second["against"]["rival"] == "cross_entropy"
        assert rows[task, "focal"]["difference"] == pytest.approx(mean)


def test_a_cell_does_not_depend_on_what_it_is_compared_with(report):
    alone = lf.compare([Focal()], "iris", "linear", seeds=2, progress=False, **TRAIN)
    (line,) = alone.result["lines"]
    (same,) = (
        each for each in report.result["lines"] if (each["task"], each["loss"]) == ("iris", "focal")
    )
    assert line["tests"] == same["tests"]


def test_a_loss_may_be_named():
    report = lf.compare(
        {"mine": Focal(1.0), "theirs": "cross_entropy"}, "iris", "linear",
        seeds=1, progress=False, **TRAIN,
    )  # fmt: skip
    assert [line["loss"] for line in report.result["lines"]] == ["mine", "theirs"]
