"""The online hypergradient against central differences of what torch really does."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lossforge.errors import ConfigurationError, DataError
from lossforge.losses import CrossEntropy, NeuralLoss, Squared
from lossforge.losses.neural import Architecture
from lossforge.training.hypergradient import (
    OnlineEngine,
    OnlineStep,
    OptimizerResponse,
    TrainState,
)

SMOOTH = Architecture((5,), "softplus", "smooth_leaky_relu")
EPSILON, TOLERANCE = 1e-5, 1e-6

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, 0.3),
    "momentum": lambda p: torch.optim.SGD(p, 0.2, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: torch.optim.SGD(p, 0.2, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, 0.05, eps=0.01, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, 0.05, eps=0.01, weight_decay=0.1),
}


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.3), nn.Linear(6, 3))


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.Tanh(),
        nn.Dropout(0.2),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 3),
    )


MODELS = {"dense": (dense, (4,)), "convolutional": (convolutional, (1, 4, 4))}


STRATEGIES = ("low_rank", "forward", "reverse")


class Case:
    """A model in the middle of training, a loss network, and two batches."""

    def __init__(
        self,
        model: str,
        optimizer: str,
        regression: bool = False,
        architecture: Architecture = SMOOTH,
    ):
        torch.manual_seed(0)
        build, shape = MODELS[model]
        self.model, self.make = build().double(), OPTIMIZERS[optimizer]
        kind = "regression" if regression else "classification"
        self.task_loss = Squared() if regression else CrossEntropy()
        generator = torch.Generator().manual_seed(3)
        self.loss = NeuralLoss(architecture, generator, kind=kind).double().requires_grad_()
        if architecture.residual:
            self.loss.set_scale(0.7)
            nn.init.normal_(self.loss.layers[-1], generator=generator)
        with torch.no_grad():
            for weights in self.loss.parameters():
                weights.mul_(3)  # a loss flat by nature would drown in the differences' rounding
        self.train, self.valid = (self._batch(shape, regression) for _ in range(2))
        self.warm = [self._batch(shape, regression) for _ in range(3)]

    def _batch(self, shape: tuple[int, ...], regression: bool) -> tuple[Tensor, Tensor]:
        inputs = torch.randn(6, *shape, dtype=torch.float64)
        targets = torch.randn(6, 3, dtype=torch.float64)
        return inputs, targets if regression else torch.randint(3, (6,))

    def begin(self) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Return a copy of the model and its optimizer after three steps of training."""
        model = copy.deepcopy(self.model)
        head = list(model[-1].parameters())
        body = [p for p in model.parameters() if not any(p is q for q in head)]
        optimizer = self.make([{"params": body}, {"params": head, "lr": 0.11}])
        torch.manual_seed(5)
        for inputs, targets in self.warm:
            optimizer.zero_grad()
            self.task_loss(model(inputs), targets).backward()
            optimizer.step()
        optimizer.zero_grad()
        return model, optimizer

    def outcome(self, loss: NeuralLoss, clip: float | None) -> float:
        """Return T after a step of plain PyTorch under `loss`."""
        model, optimizer = self.begin()
        torch.manual_seed(11)
        loss(model(self.train[0]), self.train[1]).backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return self.task_loss(model(self.valid[0]), self.valid[1]).item()

    def differences(self, clip: float | None) -> list[Tensor]:
        found = []
        for position, weights in enumerate(self.loss.parameters()):
            slope = torch.zeros_like(weights)
            for index in range(weights.numel()):
                sides = []
                for sign in (1, -1):
                    other = copy.deepcopy(self.loss)
                    with torch.no_grad():
                        list(other.parameters())[position].view(-1)[index] += sign * EPSILON
                    sides.append(self.outcome(other, clip))
                slope.view(-1)[index] = (sides[0] - sides[1]) / (2 * EPSILON)
            found.append(slope)
        return found


def state_of(model: nn.Module, optimizer: torch.optim.Optimizer, clip=None) -> TrainState:
    return TrainState(model, optimizer, OptimizerResponse(optimizer), clip_norm=clip)


def one_step(
    state: TrainState, loss, train, valid, task_loss, strategy, *, seed=None
) -> OnlineStep:
    """Return one step by a strategy, after a first one that checked it and was taken back."""
    engine = OnlineEngine(state, (strategy,))
    kept = copy.deepcopy((state.model.state_dict(), state.optimizer.state_dict()))
    draws = torch.get_rng_state()
    engine.step(loss, [train], valid, task_loss)
    state.model.load_state_dict(kept[0])
    state.optimizer.load_state_dict(kept[1])
    torch.set_rng_state(draws)
    return engine.step(loss, [train], valid, task_loss)


def applies(strategy: str, optimizer: str, clip: float | None = None) -> bool:
    return strategy != "low_rank" or (clip is None and not optimizer.startswith("adam"))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("clip", [None, 0.05])
def test_it_agrees_with_central_differences(optimizer, model, strategy, clip):
    if not applies(strategy, optimizer, clip):
        pytest.skip("thin factors serve unclipped SGD")
    case = Case(model, optimizer, regression=model == "dense")
    network, rule = case.begin()
    torch.manual_seed(11)
    found = one_step(
        state_of(network, rule, clip), case.loss, case.train, case.valid, case.task_loss, strategy
    )
    expected = case.differences(clip)
    scale = max(slope.abs().max() for slope in expected)
    assert scale > 1e-5
    for ours, theirs in zip(found.hypergradient, expected, strict=True):
        assert ((ours - theirs).abs().max() / scale) < TOLERANCE
    assert found.task_loss == pytest.approx(case.outcome(case.loss, clip), rel=1e-9)


def agreed_differences(case: Case, strategy: str) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return central differences, which a step's hypergradient must equal, and the greatest."""
    network, rule = case.begin()
    torch.manual_seed(11)
    found = one_step(
        state_of(network, rule), case.loss, case.train, case.valid, case.task_loss, strategy
    )
    expected = case.differences(None)
    scale = max(slope.abs().max() for slope in expected)
    for ours, theirs in zip(found.hypergradient, expected, strict=True):
        assert ((ours - theirs).abs().max() / scale) < TOLERANCE
    return expected, scale


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_residual_loss_agrees_with_central_differences(regression, optimizer, strategy):
    if not applies(strategy, optimizer):
        pytest.skip("thin factors serve unclipped SGD")
    case = Case("dense", optimizer, regression, replace(SMOOTH, residual=True))
    expected, scale = agreed_differences(case, strategy)
    named = dict(zip(case.loss.state_dict(), expected, strict=True))
    assert named["log_scale"].abs() > 1e-3 * scale


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_loss_with_a_form_agrees_with_central_differences(optimizer, strategy):
    if not applies(strategy, optimizer):
        pytest.skip("thin factors serve unclipped SGD")
    architecture = replace(SMOOTH, residual=True, form="label_smoothing")
    case = Case("dense", optimizer, architecture=architecture)
    case.loss.set_number(0.3)
    expected, scale = agreed_differences(case, strategy)
    names = [name for name, _ in case.loss.named_parameters()]
    for name in ("log_scale", "usual.raw"):
        assert expected[names.index(name)].abs() > 1e-4 * scale


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_model_is_trained_as_by_plain_pytorch(optimizer, model, strategy):
    if not applies(strategy, optimizer):
        pytest.skip("thin factors serve unclipped SGD")
    case = Case(model, optimizer)
    (ours, our_rule), (theirs, their_rule) = case.begin(), case.begin()
    engine = OnlineEngine(state_of(ours, our_rule), (strategy,))
    for step in range(3):
        torch.manual_seed(step)
        engine.step(case.loss, [case.train], case.valid, case.task_loss)
        torch.manual_seed(step)
        case.loss(theirs(case.train[0]), case.train[1]).backward()
        their_rule.step()
        their_rule.zero_grad()
    for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_frozen_parts_stay_and_are_accounted_for(strategy):
    case = Case("dense", "momentum")
    case.model[0].requires_grad_(False)
    case.begin = lambda: _with_head_only(case)  # type: ignore[method-assign]
    network, rule = case.begin()
    before = network[0].weight.clone()
    torch.manual_seed(11)
    found = one_step(
        state_of(network, rule), case.loss, case.train, case.valid, case.task_loss, strategy
    )
    for ours, theirs in zip(found.hypergradient, case.differences(None), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-9)
    assert torch.equal(network[0].weight, before)


def _with_head_only(case: Case) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = copy.deepcopy(case.model)
    return model, torch.optim.SGD(model.parameters(), 0.2, momentum=0.9)


@pytest.mark.parametrize("which", ["train", "valid"])
def test_nan_in_a_batch_is_an_error_that_says_what_was_changed(which):
    case = Case("dense", "momentum")
    network, rule = case.begin()
    getattr(case, which)[0][0, 0] = torch.nan
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(DataError, match="NaN in the batch") as caught:
        one_step(
            state_of(network, rule), case.loss, case.train, case.valid, case.task_loss, "forward"
        )
    kept = all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert kept == (which == "train")
    expected = "the network was not updated" if which == "train" else "the loss was not updated"
    assert expected in str(caught.value)


def test_inputs_may_be_named_and_outputs_stand_in_a_mapping():
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, words: Tensor, scale: Tensor) -> dict[str, Tensor]:
            return {"logits": self.layer(words) * scale}

    model = Named().double()
    rule = torch.optim.SGD(model.parameters(), 0.1)
    inputs = {"words": torch.randn(6, 4, dtype=torch.float64), "scale": torch.tensor(2.0)}
    loss = NeuralLoss(SMOOTH).double().requires_grad_()
    batch = (inputs, torch.tensor([0, 1, 2, 0, 1, 2]))
    steps = [
        one_step(state_of(copied, copied_rule), loss, batch, batch, CrossEntropy(), strategy)
        for strategy in ("low_rank", "forward", "reverse")
        for copied, copied_rule in [_copy(model, rule)]
    ]
    for first, *others in zip(*(step.hypergradient for step in steps), strict=True):
        for other in others:
            torch.testing.assert_close(first, other)


def _copy(model: nn.Module, _: object) -> tuple[nn.Module, torch.optim.Optimizer]:
    copied = copy.deepcopy(model)
    return copied, torch.optim.SGD(copied.parameters(), 0.1)


class _NoForwardMode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


class _Doubling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _NoForwardMode.apply(x)


def test_a_strategy_that_the_model_does_not_support_is_passed_over():
    model = nn.Sequential(nn.Linear(4, 3), _Doubling(), nn.BatchNorm1d(3))
    rule = torch.optim.SGD(model.parameters(), 0.1)
    loss = NeuralLoss(SMOOTH).requires_grad_()
    batch = (torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1]))
    engine = OnlineEngine(state_of(model, rule), ("forward", "reverse"))
    assert engine.step(loss, [batch], batch, CrossEntropy()).hypergradient is not None
    engine = OnlineEngine(state_of(model, rule), ("forward",))
    with pytest.raises(ConfigurationError, match="no way of differentiating"):
        engine.step(loss, [batch], batch, CrossEntropy())


class Tied(nn.Module):
    """A weight that is used as a linear layer twice, and an embedding that is also a layer."""

    def __init__(self, elsewhere: bool) -> None:
        super().__init__()
        self.layer, self.elsewhere = nn.Linear(4, 4), elsewhere
        self.scale = nn.Parameter(torch.full((4,), 0.7))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.layer(self.layer(x).tanh() * self.scale)
        hidden = hidden + self.layer.weight.sum() if self.elsewhere else hidden
        return hidden[:, :3]


def test_a_layer_used_twice_has_both_shares():
    torch.manual_seed(0)
    model = Tied(elsewhere=False).double()
    loss = NeuralLoss(SMOOTH).double().requires_grad_()
    batch, valid = ((torch.randn(5, 4).double(), torch.tensor([0, 1, 2, 0, 1])) for _ in range(2))
    steps = [
        one_step(state_of(*_copy(model, None)), loss, batch, valid, CrossEntropy(), strategy)
        for strategy in ("low_rank", "reverse", "forward")
    ]
    for first, *others in zip(*(step.hypergradient for step in steps), strict=True):
        for other in others:
            torch.testing.assert_close(first, other)


def test_a_weight_that_is_not_only_in_linear_layers_is_no_thin_one():
    model, rule = _copy(Tied(elsewhere=True), None)
    engine = OnlineEngine(state_of(model, rule), ("low_rank", "reverse"))
    batch = (torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1]))
    engine.step(NeuralLoss(SMOOTH).requires_grad_(), [batch], batch, CrossEntropy())
    assert engine.sharing == "reverse"


@pytest.mark.parametrize("rows", [2, 40])
def test_long_sequences_take_either_way_through_thin_factors(rows):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.LayerNorm(8), nn.Linear(8, 3)).double()
    loss = NeuralLoss(SMOOTH).double().requires_grad_()
    batch, valid = (
        (torch.randn(rows, 5, 4).double(), torch.randint(3, (rows, 3))) for _ in range(2)
    )

    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)[:, :3].movedim(-1, 1)

    steps = [
        one_step(state_of(*_copy(Turned(), None)), loss, batch, valid, CrossEntropy(), strategy)
        for strategy in ("low_rank", "reverse")
    ]
    for thin, reverse in zip(*(step.hypergradient for step in steps), strict=True):
        torch.testing.assert_close(thin, reverse)
