import copy
import math

import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError, DataError
from lossforge.losses import CalibratedCrossEntropy
from lossforge.methods import AdaLFL
from lossforge.methods.warm_up import (
    TRIAL_BATCHES,
    WarmUpTrial,
    _Attempt,
    _best,
    _costs,
    _Course,
    _simplest,
    first_pass,
)
from lossforge.tasks.kinds import Classification


@pytest.mark.parametrize(
    ("trials", "chosen"),
    [
        ([(0.30, 0.01), (0.20, 0.01), (0.195, 0.01)], 1),
        ([(0.30, 0.01), (0.20, 0.01), (0.18, 0.01)], 2),
        ([(0.30, 0.01), (0.20, 0.01), (0.28, 0.01)], 1),
        ([(math.inf, 0.0), (0.2, 0.0)], 1),
        ([(0.2, 0.0), (0.2, 0.0)], 0),
    ],
)
def test_what_is_better_by_less_than_its_error_is_not_better(trials: list, chosen: int):
    attempts = [_Attempt(WarmUpTrial(*trial), index, {}) for index, trial in enumerate(trials)]
    assert _simplest(attempts).horizon == chosen


def test_of_the_best_the_simplest_stay_first():
    scores = (0.3, 0.1, math.inf, 0.2)
    attempts = [_Attempt(WarmUpTrial(one, 0), index, {}) for index, one in enumerate(scores)]
    assert [one.horizon for one in _best(attempts, 3)] == [0, 1, 3]
    assert [one.horizon for one in _best(attempts, 2)] == [1, 3]


def test_trials_of_a_form_are_judged_by_cross_entropy_at_the_best_temperature():
    model, adapt = attached(AdaLFL())
    valid = [rows(20, 1), rows(16, 2)]
    state = adapt._state
    each = _costs(state, valid, adapt.loss)
    expected = [CalibratedCrossEntropy()(model(x), y) for x, y in valid]
    assert len(each) == 36
    assert each[:20].mean().item() == pytest.approx(expected[0].item())
    assert each[20:].mean().item() == pytest.approx(expected[1].item())


def test_rows_that_do_not_count_do_not_judge():
    _, adapt = attached(AdaLFL())
    x, y = rows(20, 1)
    some = y.clone()
    some[::2] = -100
    poisoned = x.clone()
    poisoned[::2] = 1e6 * torch.randn(10, 4)
    whole = _costs(adapt._state, [(x[1::2], y[1::2])], adapt.loss)
    torch.testing.assert_close(_costs(adapt._state, [(poisoned, some)], adapt.loss), whole)


class Rounds:
    """An iterator without an end that tells how many batches a pass has."""

    def __init__(self, batches: list):
        self._batches, self._next = batches, 0

    def __iter__(self) -> "Rounds":
        return self

    def __next__(self) -> object:
        self._next += 1
        return self._batches[(self._next - 1) % len(self._batches)]

    def __length_hint__(self) -> int:
        return len(self._batches)


@pytest.mark.parametrize("count", [1, 3, TRIAL_BATCHES, TRIAL_BATCHES + 5])
@pytest.mark.parametrize("wrap", [list, Rounds, iter])
def test_a_pass_has_each_batch_once(count: int, wrap):
    batches = list(range(count))
    assert first_pass(wrap(batches)) == batches[:TRIAL_BATCHES]


def test_without_validation_batches_there_is_nothing_to_judge_by():
    with pytest.raises(DataError, match="no validation batches"):
        first_pass([])


def attached(settings: AdaLFL):
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    return model, settings.attach(model, optimizer, outputs=3)


def rows(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (count,), generator=generator)
    return torch.eye(3, 4)[labels] + torch.randn(count, 4, generator=generator), labels


def test_a_trials_standard_error_counts_each_validation_row_once(monkeypatch: pytest.MonkeyPatch):
    trials = []
    trial = _Course.trial

    def told(self, steps):
        trials.append((trial(self, steps), mistakes_of(self.train)))
        return trials[-1][0]

    def mistakes_of(train):
        return torch.cat([Classification().scores(train.module(x), y) for x, y in valid])

    monkeypatch.setattr(_Course, "trial", told)
    _, adapt = attached(AdaLFL(0, form="", warm_up_scales=(1e-6, 1e-5), trial_steps=1))
    valid = [rows(20, 1), rows(16, 2)]
    adapt.warm_up([rows(30, 3)], valid)
    # Scales this small leave the network all but as it was.
    for found, each in trials:
        assert len(each) == 36
        assert found.score == pytest.approx(each.mean().item())
        assert found.error == pytest.approx(each.std(correction=0).item() / 6)


def test_the_rows_that_judge_may_be_given():
    judge, accurate = [rows(12, 4)], []
    _, adapt = attached(AdaLFL(0, warm_up_scales=(1e-6, 3), trial_steps=100))
    wrong = [(x, (y + 1) % 3) for x, y in judge]
    for judged in (judge, wrong):
        adapt.warm_up([rows(200, 3)], [rows(5, 1)], judge=judged)
        accurate.append(adapt.loss.log_scale.exp().item())
    assert accurate == pytest.approx([3, 1e-6])


def test_fresh_networks_are_drawn_for_each_start_and_left_behind():
    model, adapt = attached(AdaLFL(6, warm_up_scales=(), warm_up_horizons=(2,)))
    before = copy.deepcopy(model.state_dict())
    drawn = []

    def fresh() -> nn.Module:
        drawn.append(nn.Linear(4, 3))
        return drawn[-1]

    starts = []
    adapt_once = adapt._adapt_to_one
    adapt._adapt_to_one = lambda *args: (
        starts.append(model.weight.detach().clone()),
        adapt_once(*args),
    )
    adapt.warm_up([rows(30, 3)], [rows(30, 1)], fresh=fresh)
    assert len(drawn) == 3
    for begun, network in zip(starts[::2], drawn, strict=True):
        assert torch.equal(begun, network.weight)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_fresh_network_of_another_shape_is_refused():
    _, adapt = attached(AdaLFL(2, warm_up_scales=(), warm_up_horizons=(1,)))
    with pytest.raises(ConfigurationError, match="fresh must return a network like"):
        adapt.warm_up([rows(30, 3)], [rows(30, 1)], fresh=lambda: nn.Linear(4, 5))


def test_an_offline_loss_stays_as_it_was_learned():
    _, adapt = attached(AdaLFL(2, trial_steps=5, online=False, meta_learning_rate=0.1))
    adapt.warm_up([rows(30, 3)], [rows(30, 1)])
    before = copy.deepcopy(adapt.loss.state_dict())
    step = adapt.step(rows(30, 3))
    assert step.hypergradient is None
    assert all(torch.equal(value, before[name]) for name, value in adapt.loss.state_dict().items())
