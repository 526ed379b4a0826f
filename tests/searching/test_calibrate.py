"""Handcrafted losses at their best rates: found on validation rows, reproducibly, and resumable."""

import json
import math
from statistics import fmean

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import InterruptedRunError

from lossforge.errors import ConfigurationError
from lossforge.losses import LabelSmoothing, SymbolicLoss, default_loss
from lossforge.randomness import derive_seed
from lossforge.searching import (
    BaseTraining,
    Calibration,
    Calibrator,
    Fitness,
    NullJournal,
    Trial,
    calibrate,
    handcrafted_rivals,
    make_problems,
)
from lossforge.searching.calibrate import FACTOR, FARTHEST
from lossforge.searching.fitness_work import ProblemWork
from lossforge.tasks import Split, Task, load

SMALL = Calibration(rival_steps=24, rival_seeds=2)
RATE = 0.01


def calibrator(task="iris", settings=SMALL, journal=None, seed=0, rate=RATE, model="linear"):
    task = load(task) if isinstance(task, str) else task
    return Calibrator(
        settings,
        Fitness(),
        make_problems(task, model),
        BaseTraining(learning_rate=rate),
        seed,
        journal or NullJournal(),
    )


def measured(journal):
    """Return the scores by (loss, steps) and learning rate, from the history that was kept."""
    found = {}
    for entry in journal.entries:
        for name, score in entry["valid"].items():
            rates = found.setdefault((name, entry["steps"]), {})
            rates.setdefault(entry["learning_rate"], []).append(
                math.inf if score is None else score
            )
    return found


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_rivals_are_of_the_kind_and_begin_with_the_default(kind):
    rivals = handcrafted_rivals(kind)
    assert {str(rival.kind) for rival in rivals} == {kind}
    assert str(rivals[0]) == str(default_loss(kind))
    assert len({str(rival) for rival in rivals}) == len(rivals) > 5


@pytest.mark.parametrize("task", ["iris", "diabetes"])
def test_every_best_rate_is_inside_its_grid(task, memory):
    journal = memory()
    found = calibrator(task, journal=journal).calibrate()
    table = measured(journal)
    assert {rival.name for rival in found.losses} == {
        str(loss) for loss in handcrafted_rivals(load(task).kind)
    }
    for rival in found.losses:
        means = {rate: fmean(scores) for rate, scores in table[rival.name, rival.steps].items()}
        rate = rival.learning_rate
        assert rival.valid == means[rate] == min(means.values())
        for neighbor in (rate / FACTOR, rate * FACTOR):
            steps_away = abs(math.log(neighbor / RATE, FACTOR))
            assert steps_away > FARTHEST + 0.5 or any(
                math.isclose(neighbor, other, rel_tol=1e-4) for other in means
            )


def test_the_best_is_the_best_of_the_long_trainings_and_the_default_is_among_them():
    found = calibrator().calibrate()
    longest = [rival for rival in found.losses if rival.steps == SMALL.rival_steps]
    assert found.best.valid == min(rival.valid for rival in longest)
    assert found.default in longest
    assert found.untuned.learning_rate == RATE
    assert found.untuned.name == found.default.name == "cross_entropy"
    assert found.default.valid <= found.untuned.valid
    assert all(len(rival.scores) == SMALL.rival_seeds for rival in found.losses)


def test_training_steps_are_counted(memory):
    journal = memory()
    own = calibrator(journal=journal)
    own.calibrate()
    before = own.training_steps
    own.tune("mine", SymbolicLoss("square(y - p)"))
    by_hand = sum(entry["steps"] * len(entry["valid"]) for entry in journal.entries)
    # Iris trains to the end under all losses, so no training is cut short.
    assert before < own.training_steps == by_hand


def test_the_same_seed_gives_the_same_and_another_seed_another():
    first, again, other = (calibrator(seed=seed).calibrate() for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_calibration_goes_on_as_if_it_had_not_been_interrupted(memory):
    settings = Calibration(rival_steps=6, rival_seeds=2)

    def outcome(journal):
        own = calibrator(settings=settings, journal=journal)
        return own.calibrate(), own.tune("mine", SymbolicLoss("square(y - p)"))

    whole = memory()
    expected = outcome(whole)
    count = len(whole.checkpoints)
    for stop in (1, *range(6, count - 1, count // 4), count - 1):
        stopped = memory(stop_after=stop)
        with pytest.raises(InterruptedRunError):
            outcome(stopped)
        resumed = memory(restored=stopped.checkpoints[-1])
        assert outcome(resumed) == expected
        assert [*stopped.checkpoints, *resumed.checkpoints] == whole.checkpoints


def test_a_tuned_loss_is_held_to_the_same_rule_as_its_rivals():
    """A handcrafted loss that is tuned as if it had been learned gets the rate that it has."""
    everything = Calibration(rival_steps=24, rival_seeds=2)
    own = calibrator(settings=everything)
    found = own.calibrate()
    best = next(rival for rival in found.losses if rival.name == "label_smoothing:smoothing=0.1")
    tuned = own.tune("mine", LabelSmoothing(0.1))
    if best.steps == tuned.steps:
        assert tuned.learning_rate == best.learning_rate
        assert tuned.scores == pytest.approx(best.scores)
    else:
        assert tuned.valid >= found.best.valid


def test_test_rows_are_not_read():
    task = load("iris")
    blind = Task(
        *(task.name, task.kind, task.outputs, task.train, task.valid),
        Split(torch.zeros_like(task.test.inputs), task.test.targets, task.test.rows),
    )
    assert calibrator(blind).calibrate() == calibrator(task).calibrate()


def test_rates_that_diverge_are_the_worst_and_stay(memory):
    """From a rate at which squared error blows up, the grid goes down to where it does not."""
    settings, journal = Calibration(rival_steps=120, rival_seeds=1), memory()
    found = calibrator("diabetes", settings, journal, rate=100.0).calibrate()
    short = measured(journal)["mse", 120 // calibrate.SHORT]
    assert short[900.0] == short[300.0] == [math.inf]
    assert found.untuned.valid == math.inf
    assert math.isfinite(found.default.valid)
    assert found.default.learning_rate < 1


def fake(monkeypatch, valley):
    """Let a loss score by its rate and initialization, without training."""

    runs = {derive_seed(0, "calibration", run): run for run in range(SMALL.rival_seeds)}

    def trials(self, job, report):
        power = round(math.log(job.base.learning_rate / RATE, FACTOR))
        scores = [valley(str(loss), power, runs[job.seed]) for loss in job.losses]
        return [Trial(score, job.fitness.steps, None, (score,)) for score in scores]

    monkeypatch.setattr(ProblemWork, "__call__", trials)


@given(bottom=st.integers(-FARTHEST, FARTHEST), slope=st.floats(0.01, 10))
def test_the_bottom_of_a_valley_is_found_wherever_it_is(bottom, slope):
    with pytest.MonkeyPatch.context() as patch:
        fake(patch, lambda name, power, run: slope * abs(power - bottom))
        found = calibrator().calibrate()
    for rival in found.losses:
        assert rival.learning_rate == pytest.approx(RATE * FACTOR**bottom, rel=1e-4)
        assert rival.valid == 0


@given(diverges=st.integers(-3, 3))
def test_one_network_that_diverges_makes_a_rate_the_worst(diverges):
    """The larger the rate, the better the score; beyond a point one of two networks diverges."""
    with pytest.MonkeyPatch.context() as patch:
        fake(
            patch,
            lambda name, power, run: math.inf if power > diverges and run == 1 else 10.0 - power,
        )
        found = calibrator().calibrate()
    assert found.best.learning_rate == pytest.approx(RATE * FACTOR**diverges, rel=1e-4)
    assert found.best.valid == 10 - diverges


def test_a_loss_that_diverges_everywhere_is_the_last(monkeypatch):
    fake(monkeypatch, lambda name, power, run: math.inf if "focal" in name else 0.5)
    found = calibrator().calibrate()
    assert found.losses[-1].name == "focal:gamma=2"
    assert found.losses[-1].valid == math.inf
    assert found.losses[-1].deviation is None


def test_among_equals_the_default_and_the_users_rate_are_taken(monkeypatch):
    fake(monkeypatch, lambda name, power, run: 0.5)
    found = calibrator().calibrate()
    assert found.best == found.default == found.untuned
    assert found.best.deviation == 0


def test_numbers_are_checked():
    with pytest.raises(ConfigurationError, match="rival_seeds"):
        Calibration(rival_seeds=0)
    with pytest.raises(ConfigurationError, match="rival_steps"):
        Calibration(rival_steps=-1)


def test_the_history_is_plain_data(memory):
    journal = memory()
    calibrator(journal=journal).calibrate()
    assert json.dumps(journal.entries, allow_nan=False)
    assert journal.stages[0][0] == "calibrating 11 losses"
