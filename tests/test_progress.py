"""Progress goes to standard error, as sober lines where there is no terminal."""

import json
import re

import pytest

from lossforge import progress
from lossforge.progress import ProgressReporter, stage_of

COUNTS = {"candidates": 12, "in full": 5, "rejected": 7}


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when told to."""
    seconds = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: seconds[0])
    return seconds


def test_lines_come_now_and_then(capsys, clock):
    with ProgressReporter("a title") as reporter:
        for step in range(1, 101):
            clock[0] += 1
            reporter.progress("training", step, 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "a title"
    assert len(lines) == 1 + 100 // (progress.SECONDS_BETWEEN_LINES + 1)
    assert lines[1].startswith("  training 31/100, 1:09 left")


def test_a_round_is_a_line_with_the_time_left(capsys, clock):
    with ProgressReporter("search", rounds=4) as reporter:
        for round_number in range(4):
            for stage in ("tuning", "training"):
                for done in (1, 2):
                    clock[0] += 2.5
                    reporter.progress(stage, done, 2)
            reporter.generation({"generation": round_number + 1, "best": 0.5, "counts": COUNTS})
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == (
        "generation 1/4: best 0.5; 12 candidates, 5 trained in full (7 rejected); 0:30 left"
    )
    assert lines[-1].startswith("generation 4/4: best 0.5")
    assert "left" not in lines[-1]


def test_a_search_without_candidates_to_count_tells_its_best(capsys):
    with ProgressReporter("search", rounds=2, round_name="check") as reporter:
        reporter.generation({"generation": 1, "best": None, "counts": {}})
    assert capsys.readouterr().err.splitlines()[-1] == "check 1/2: best none yet"


def test_markup_in_a_title_is_text(capsys):
    with ProgressReporter("csv:[bold]table.csv:y") as reporter:
        reporter.tell("[red]line[/]")
    assert capsys.readouterr().err.splitlines() == ["csv:[bold]table.csv:y", "[red]line[/]"]


def test_nothing_is_shown_if_told_so(capsys):
    with ProgressReporter("title", shown=False, rounds=3) as reporter:
        reporter.tell("line")
        reporter.progress("training", 1, 2)
        stage_of(reporter, "warming up")(1, 2)
        reporter.generation({"generation": 1, "best": 0.5, "counts": COUNTS})
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


PLAN = (("calibrating", 100), ("generation", 200), ("final", 50), ("comparing", 100))


def test_with_a_plan_the_time_left_is_that_of_all_stages(capsys, clock):
    with ProgressReporter("search", rounds=2, plan=PLAN) as reporter:
        for done in range(1, 101):
            clock[0] += 1
            reporter.progress("calibrating 3 losses", done, 100)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("  calibrating 3 losses 93/100, 5:57 left")  # 450 - 93 seconds


def test_a_stage_that_is_left_out_is_no_work(capsys, clock):
    """A resumed run begins in the middle: what came before does not quicken its pace."""
    with ProgressReporter("search", rounds=2, plan=PLAN) as reporter:
        reporter.progress("training", 1, 10)
        for done in range(1, 101):
            clock[0] += 2
            reporter.progress("comparing", done, 100)
    last = capsys.readouterr().err.splitlines()[-1]
    minutes, seconds = last.rpartition(", ")[2].removesuffix(" left").split(":")
    done = int(last.split("comparing ")[1].split("/")[0])
    assert 60 * int(minutes) + int(seconds) == pytest.approx(2 * (100 - done), rel=0.15)


def test_programs_receive_events_as_json(capsys, clock):
    events = []
    with ProgressReporter("a title", shown="json", rounds=2, listener=events.append) as reporter:
        for done in (1, 2, 3):
            clock[0] += 0.6
            reporter.progress("comparing", done, 4)
        reporter.generation({"generation": 1, "best": 0.5, "counts": COUNTS})
    written = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert written == events
    assert [event["event"] for event in written] == ["line", "progress", "progress", "round"]
    assert written[2] == {
        **{"event": "progress", "stage": "comparing", "done": 3, "total": 4},
        **{"share": 0.75, "seconds_left": 0.6},
    }


def test_a_stage_that_begins_anew_has_its_own_time_left(capsys, clock):
    with ProgressReporter("trainings") as reporter:
        for total in (300, 200):
            for step in range(1, total + 1):
                clock[0] += 1
                reporter.progress("training", step, total)
    lines = capsys.readouterr().err.splitlines()[1:]
    assert len(lines) > 10
    for line in lines:
        step, total, minutes, seconds = map(int, re.findall(r"\d+", line))
        assert total - step == 60 * minutes + seconds


@pytest.mark.parametrize("resumed", [0, 3])
def test_the_time_left_of_parts_is_that_of_all(clock, resumed):
    events = []
    with ProgressReporter("cells", shown=False, listener=events.append) as reporter:
        for cell in range(resumed, 6):
            reporter.part(cell, 6)
            for step in range(1, 11):
                clock[0] += 2
                reporter.progress("training", step, 10)
    moves = [event for event in events if event["event"] == "progress"]
    first, second, last = moves[9], moves[10], moves[-1]
    assert first["seconds_left"] is None
    assert second["share"] == pytest.approx((resumed + 1) / 6, abs=1e-4)
    assert second["seconds_left"] == 20 * (6 - resumed - 1) - 2
    assert last["seconds_left"] == 0
