"""Cohorts: the same numbers stacked, separate, and by a plain PyTorch loop."""

import copy
import pickle

import pytest
import torch
from torch import nn

from lossforge.losses import CrossEntropy, ElementwiseLoss, Focal, SymbolicLoss, as_population
from lossforge.models import initialize
from lossforge.randomness import torch_generator
from lossforge.tasks import Batches, load
from lossforge.training import SGD, Adam, EnsembleConfig, EnsembleState, Network, make_ensemble
from lossforge.training.ensemble import choose_stacking

TASK = load("iris")
LOSSES = [SymbolicLoss(text).double() for text in ("-y*log(p)", "(y - p)**2", "abs(y - p)")]


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def normalized() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)).double()


def dropping() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5), nn.Linear(16, 3)).double()


def setup(make=dense, optimizer=None, seed: int = 0) -> EnsembleConfig:
    network = Network(initialize(make, 1))
    split = TASK.train
    split = type(split)(split.inputs.double(), split.targets, split.rows)
    return EnsembleConfig(
        network,
        network.parameters(),
        optimizer or SGD(0.1, momentum=0.9),
        lambda: Batches(split, 16, torch_generator(seed, "train")),
        seed=seed,
    )


def valid_scores(ensemble) -> list[float]:
    split = TASK.valid
    return ensemble.score(
        type(split)(split.inputs.double(), split.targets, split.rows), TASK.measure
    )


def by_hand(make, loss, steps: int, seed: int = 0) -> nn.Module:
    module = initialize(make, 1)
    optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)
    batches = setup(make, seed=seed).batches()
    for _ in range(steps):
        inputs, targets = batches.draw()
        optimizer.zero_grad()
        loss(module(inputs), targets).backward()
        optimizer.step()
    return module.eval()


@pytest.mark.parametrize("stacking", ["stacked", "separate"])
@pytest.mark.parametrize("make", [dense, normalized])
def test_networks_are_trained_as_by_hand(stacking, make):
    if make is normalized and stacking == "stacked":
        pytest.skip("networks with buffers are trained one by one")
    ensemble = make_ensemble(setup(make), as_population(LOSSES), stacking)
    ensemble.advance(30)
    inputs = TASK.valid.inputs.double()
    expected = []
    for loss in LOSSES:
        guesses = by_hand(make, loss, 30)(inputs).argmax(1)
        expected.append((guesses != TASK.valid.targets).double().mean().item())
    assert valid_scores(ensemble) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.1, 0.9, True, 1e-3), Adam(0.01)])
@pytest.mark.parametrize("make", [dense, dropping])
def test_stacked_and_separate_give_the_same(optimizer, make):
    scores = []
    for stacking in ("stacked", "separate"):
        ensemble = make_ensemble(setup(make, optimizer), as_population(LOSSES), stacking)
        ensemble.advance(10)
        ensemble.advance(15)
        scores.append(valid_scores(ensemble))
    if make is dense:
        assert scores[0] == pytest.approx(scores[1], abs=1e-9)
    else:
        # Masks are drawn for all at once or for each alone; both learn.
        assert max(map(max, scores)) < 0.8


@pytest.mark.parametrize("stacking", ["stacked", "separate"])
def test_training_in_parts_is_training(stacking):
    whole, parts = (make_ensemble(setup(), as_population(LOSSES), stacking) for _ in range(2))
    whole.advance(25)
    parts.advance(10)
    parts.advance(15)
    assert valid_scores(whole) == valid_scores(parts)


class Broken(ElementwiseLoss):
    def __init__(self) -> None:
        super().__init__("classification")

    def elementwise(self, y, p):
        return p * torch.nan

    def definition(self) -> dict[str, object]:
        return {}

    def __str__(self) -> str:
        return "broken"


@pytest.mark.parametrize("stacking", ["stacked", "separate"])
def test_divergence_is_recorded_and_does_not_spread(stacking):
    mixed = make_ensemble(setup(), as_population([LOSSES[0], Broken(), LOSSES[1]]), stacking)
    clean = make_ensemble(setup(), as_population([LOSSES[0], LOSSES[1]]), stacking)
    for ensemble in (mixed, clean):
        ensemble.advance(60)
    first, worst, last = valid_scores(mixed)
    assert worst == float("inf")
    assert [first, last] == pytest.approx(valid_scores(clean), abs=1e-9)
    reasons = mixed.failures()
    assert reasons[0] is None
    assert "diverged" in reasons[1]


@pytest.mark.parametrize("stacking", ["stacked", "separate"])
def test_those_kept_go_on_as_they_were(stacking):
    whole, kept = (make_ensemble(setup(), as_population(LOSSES), stacking) for _ in range(2))
    whole.advance(20)
    kept.advance(10)
    kept.keep([2, 0])
    kept.advance(10)
    scores = valid_scores(whole)
    assert valid_scores(kept) == pytest.approx([scores[2], scores[0]], abs=1e-9)


def test_losses_of_any_class_form_a_cohort():
    losses = as_population([CrossEntropy(), Focal()])
    ensemble = make_ensemble(setup(), losses, "stacked")
    ensemble.advance(40)
    assert max(valid_scores(ensemble)) < 0.4


def test_the_start_is_left_alone():
    begin = setup()
    before = copy.deepcopy(begin.parameters)
    make_ensemble(begin, as_population(LOSSES), "stacked").advance(5)
    assert all(torch.equal(a, b) for a, b in zip(before, begin.parameters, strict=True))


def test_buffers_decide_for_separate_training():
    assert choose_stacking(setup(normalized)) == "separate"
    assert choose_stacking(setup(dense)) == "stacked"


@pytest.mark.parametrize("make", [dense, dropping, normalized])
@pytest.mark.parametrize("stacking", ["stacked", "separate"])
def test_training_goes_on_from_a_state(stacking, make):
    if make is normalized and stacking == "stacked":
        pytest.skip("networks with buffers are trained one by one")
    whole, first = (make_ensemble(setup(make), as_population(LOSSES), stacking) for _ in range(2))
    whole.advance(12)
    first.advance(5)
    state = pickle.loads(pickle.dumps(first.state()))
    first.advance(3)  # what goes on leaves a state as it is
    second = make_ensemble(setup(make), as_population(LOSSES), stacking)
    second.restore(state)
    second.advance(7)
    assert valid_scores(second) == valid_scores(whole)
    for mine, theirs in zip(second.state().parameters, whole.state().parameters, strict=True):
        assert torch.equal(mine, theirs)


def test_states_are_divided_and_joined():
    ensemble = make_ensemble(setup(), as_population(LOSSES), "stacked")
    ensemble.advance(4)
    state = ensemble.state()
    again = EnsembleState.joined([state.select([2]), state.select([0, 1])])
    assert len(again) == 3
    both = ([*each.parameters, *each.slots[0]] for each in (again, state))
    for mine, theirs in zip(*both, strict=True):
        assert torch.equal(mine, theirs[[2, 0, 1]])
    assert again.step == 4
    numbers = sum(theta[0].numel() for theta in state.parameters)
    assert state.bytes_each == 2 * 8 * numbers  # weights and momentum in float64
