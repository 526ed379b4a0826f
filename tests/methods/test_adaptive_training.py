"""The loops that people have: every one ends where plain PyTorch does, and learns exactly."""

import copy
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn

from lossforge.errors import ConfigurationError, DataError, DivergedError
from lossforge.losses import CrossEntropy, NeuralLoss
from lossforge.methods import AdaLFL
from lossforge.methods.adalfl import AdaptiveTraining
from methods.half_batches import MODELS, attached, batch, network, sgd, train_half


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    body = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def fixed(adapt: AdaptiveTraining) -> NeuralLoss:
    return copy.deepcopy(adapt.loss).requires_grad_(False)


def assert_same(ours: nn.Module, theirs: nn.Module, rtol: float = 1e-5) -> None:
    for (name, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=rtol * 1e-1, msg=name)


# Accumulated gradients.


@pytest.mark.parametrize("make", [network, convolutional])
def test_accumulated_batches_are_one_step_of_their_mean(make):
    shape = (5,) if make is network else (1, 6, 6)
    ours, theirs = make(), make()
    adapt, descent = attached(ours), sgd(theirs)
    for step in range(3):
        parts = [batch(10 * step + i, shape=shape) for i in range(3)]
        loss = fixed(adapt)
        torch.manual_seed(step)
        descent.zero_grad()
        for inputs, labels in parts:
            (loss(theirs(inputs), labels) / 3).backward()
        descent.step()
        torch.manual_seed(step)
        found = adapt.step_accumulated(parts, batch(99, shape=shape))
        assert found.hypergradient is not None
        assert_same(ours, theirs)


def test_accumulated_batches_learn_what_one_large_batch_does():
    whole = batch(0, rows=12)
    parts = [(whole[0][i::2], whole[1][i::2]) for i in range(2)]
    one, several = attached(network()), attached(network())
    first = one.step(whole, batch(1))
    second = several.step_accumulated(parts, batch(1))
    assert first.loss == pytest.approx(second.loss, rel=1e-5)
    for a, b in zip(first.hypergradient, second.hypergradient, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


# Clipping.


@pytest.mark.parametrize(
    ("settings", "clip"),
    [
        ({"clip_norm": 0.05}, lambda p: nn.utils.clip_grad_norm_(p, 0.05)),
        ({"clip_value": 0.01}, lambda p: nn.utils.clip_grad_value_(p, 0.01)),
    ],
)
def test_clipping_is_that_of_pytorch_and_is_differentiated(settings, clip):
    def after(change: float | None) -> tuple[float, Any]:
        model = network(torch.float64)
        adapt = attached(model, AdaLFL(hidden=(4,), activation="softplus", form="", **settings))
        adapt.loss.double()
        train, valid = ((x.double(), y) for x, y in (batch(0), batch(1)))
        if change is None:
            found = adapt._engine.step(adapt.loss, [train], valid, CrossEntropy())
            return found.task_loss, found.hypergradient
        loss = fixed(adapt)
        with torch.no_grad():
            loss.layers[0][0, 0] += change
        loss(model(train[0]), train[1]).backward()
        clip(model.parameters())
        adapt._state.optimizer.step()
        return CrossEntropy()(model(valid[0]), valid[1]).item(), None

    reached, found = after(None)
    assert reached == pytest.approx(after(0.0)[0], rel=1e-9)
    difference = (after(1e-5)[0] - after(-1e-5)[0]) / 2e-5
    named = dict(zip(attached(network()).loss.state_dict(), found, strict=True))
    assert float(named["layers.0"][0, 0]) == pytest.approx(difference, rel=1e-5, abs=1e-10)


def test_two_ways_of_clipping_at_once_are_refused():
    with pytest.raises(ConfigurationError, match="not by both"):
        AdaLFL(clip_norm=1.0, clip_value=1.0)


# Mixed precision.


@pytest.mark.parametrize("scaled", [False, True])
def test_mixed_precision_trains_as_plain_pytorch(scaled):
    precision = torch.float16 if scaled else torch.bfloat16

    def scaler() -> torch.amp.GradScaler | None:
        return torch.amp.GradScaler("cpu", init_scale=2.0**10) if scaled else None

    ours, theirs = network(), network()
    adapt = attached(ours, precision=precision, scaler=scaler())
    descent, their_scaler = sgd(theirs), scaler()
    for step in range(3):
        (inputs, labels), loss = batch(step), fixed(adapt)
        descent.zero_grad()
        with torch.autocast("cpu", precision):
            outputs = theirs(inputs)
        value = loss(outputs, labels)
        if their_scaler is None:
            value.backward()
            descent.step()
        else:
            their_scaler.scale(value).backward()
            their_scaler.unscale_(descent)
            their_scaler.step(descent)
            their_scaler.update()
        found = adapt.step((inputs, labels), batch(50 + step))
        assert found.hypergradient is not None
        assert_same(ours, theirs, rtol=1e-3)


def test_half_precision_learns_nearly_what_full_precision_does():
    full = attached(network()).step(batch(0), batch(1)).hypergradient
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for options in (
        {"precision": torch.bfloat16},
        {"precision": torch.float16, "scaler": scaler},
    ):
        half = attached(network(), **options).step(batch(0), batch(1)).hypergradient
        scale = max(float(g.abs().max()) for g in full)
        for a, b in zip(full, half, strict=True):
            assert float((a - b).abs().max()) <= 0.05 * scale


def test_an_overflow_skips_the_step_and_the_lesson():
    model = network()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    adapt = attached(model, precision=torch.float16, scaler=scaler)
    before = copy.deepcopy(model.state_dict()), copy.deepcopy(adapt.loss.state_dict())
    found = adapt.step(batch(0), batch(1))
    assert found.hypergradient is None
    for kept, now in zip(before, (model.state_dict(), adapt.loss.state_dict()), strict=True):
        assert all(torch.equal(kept[name], now[name]) for name in kept)
    assert scaler.get_scale() < 2.0**120


def test_float16_without_a_scaler_is_refused():
    with pytest.raises(ConfigurationError, match="GradScaler"):
        attached(network(), precision=torch.float16)


# A loop of one's own.


def test_an_observed_loop_is_a_step():
    ours, theirs = network(), network()
    adapt, again = attached(ours), attached(theirs)
    descent = again._state.optimizer
    for step in range(3):
        parts = [batch(2 * step), batch(2 * step + 1)]
        found = adapt.step_accumulated(parts, batch(9))
        observed = again.observe()
        for part in parts:
            (observed.loss(part) / 2).backward()
        observed.before_step()
        descent.step()
        other = observed.learn(batch(9))
        assert_same(ours, theirs)
        for a, b in zip(found.hypergradient, other.hypergradient, strict=True):
            torch.testing.assert_close(a, b)
    assert again.steps == adapt.steps == 3


@pytest.mark.parametrize("make", [network, convolutional])
def test_every_nth_step_learns(make):
    shape = (5,) if make is network else (1, 6, 6)
    settings = AdaLFL(hidden=(4,), every=3, form="")
    adapt = attached(make(), settings)
    learned = [
        adapt.step(batch(i, shape=shape), batch(9, shape=shape) if i % 3 == 2 else None)
        for i in range(6)
    ]
    assert [step.hypergradient is not None for step in learned] == [False, False, True] * 2
    for i in range(2):
        adapt.step(batch(i, shape=shape))
    with pytest.raises(DataError, match="a validation batch is needed"):
        adapt.step(batch(2, shape=shape))


@pytest.mark.parametrize("rates", [(0.0, 0.05, 0.1), (0.1, 0.05, 0.0)])
@pytest.mark.parametrize("rule", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop])
def test_a_rate_of_zero_is_a_step_of_nothing(rates, rule):
    """Warm-up from 0, and cosine to 0."""
    ours, theirs = network(), network()
    mine, descent = rule(ours.parameters(), lr=0.1), rule(theirs.parameters(), lr=0.1)
    adapt = attached(ours, optimizer=mine)
    for step, rate in enumerate(rates):
        mine.param_groups[0]["lr"] = descent.param_groups[0]["lr"] = rate
        inputs, labels = batch(step)
        descent.zero_grad()
        fixed(adapt)(theirs(inputs), labels).backward()
        descent.step()
        found = adapt.step((inputs, labels), batch(9))
        assert_same(ours, theirs)
        if rate == 0:
            assert all(float(g.abs().max()) == 0 for g in found.hypergradient)


def test_parameters_without_a_gradient_are_passed_over():
    """An optimizer neither decays nor moves what has no gradient."""

    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.used, self.unused = nn.Linear(5, 3), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    model = Unused()
    optimizer = torch.optim.AdamW(model.parameters(), 0.1, weight_decay=0.5)
    before = model.unused.weight.detach().clone()
    adapt = attached(model, optimizer=optimizer)
    for step in range(3):
        adapt.step(batch(step), batch(9))
    assert torch.equal(model.unused.weight, before)


# Batches and outputs of all forms.


class Named(nn.Module):
    """Named inputs, token outputs."""

    def __init__(self, form: Callable[[Tensor], Any] = lambda logits: {"logits": logits}):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head, self.form = nn.Embedding(7, 8), nn.Linear(8, 3), form

    def forward(self, tokens: Tensor, scale: float = 1.0) -> Any:
        return self.form(self.head(self.embedding(tokens).tanh()) * scale)


@dataclass
class Output:
    logits: Tensor


@pytest.mark.parametrize(
    ("form", "options"),
    [
        (lambda logits: logits, {}),
        (lambda logits: (logits, None), {}),
        (lambda logits: {"logits": logits, "loss": None}, {}),
        (Output, {}),
        (lambda logits: {"scores": logits}, {"output": "scores"}),
        (lambda logits: (None, logits), {"output": 1}),
    ],
)
def test_tokens_with_padding_in_batches_that_are_mappings(form, options):
    ours, theirs = Named(form), Named(lambda logits: logits)
    adapt, descent = attached(ours, class_dim=-1, outputs=3, **options), sgd(theirs)
    tokens, labels = torch.randint(7, (4, 6)), torch.randint(3, (4, 6))
    labels[:, 4:] = -100
    for _ in range(2):
        kept = labels != -100
        descent.zero_grad()
        fixed(adapt)(theirs(tokens)[kept], labels[kept]).backward()
        descent.step()
        adapt.step({"tokens": tokens, "labels": labels}, {"tokens": tokens, "labels": labels})
        assert_same(ours, theirs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: nn.Sequential(m, nn.Flatten(0)), r"outputs of shape \(18,\)"),
        (lambda m: Returning(m, lambda out: ("logits", out)), "a tuple of str, Tensor"),
        (lambda m: Returning(m, lambda out: {"hidden": out}), "a dict of hidden"),
        (lambda m: Returning(m, lambda out: None), "a NoneType"),
        (lambda m: Returning(m, lambda out: out.argmax(1)), "a tensor of int64"),
        (lambda m: nn.Sequential(m, nn.Linear(3, 5)), "gives 5 outputs, not 3"),
    ],
)
def test_outputs_that_do_not_fit_are_named(change, message):
    adapt = attached(change(network()), outputs=3)
    with pytest.raises(DataError, match=message):
        adapt.step(batch(0), batch(1))


class Returning(nn.Module):
    def __init__(self, model: nn.Module, form: Callable[[Tensor], Any]):
        super().__init__()
        self.model, self.form = model, form

    def forward(self, x: Tensor) -> Any:
        return self.form(self.model(x))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "not a int"),
        ([torch.zeros(6, 5)], "not a list of Tensor"),
        ({"x": torch.zeros(6, 5)}, "no targets among x"),
        ((torch.zeros(6, 5), [0, 1, 2, 0, 1, 2]), "not a tuple of Tensor, list"),
        ((torch.zeros(6, 5), torch.tensor([0, 1, 2, 3, 0, 0])), "label 3 is outside 0 to 2"),
        ((torch.zeros(6, 5), torch.tensor([0, -1, 2, 2, 0, 0])), "label -1 is outside 0 to 2"),
        ((torch.zeros(6, 5), torch.zeros(6)), "must be integers"),
        ((torch.zeros(6, 5), torch.zeros(5, dtype=torch.long)), "do not fit"),
        ((torch.full((6, 5), torch.nan), torch.zeros(6, dtype=torch.long)), "NaN in the batch"),
    ],
)
def test_batches_that_do_not_fit_are_named_and_change_nothing(given, message):
    model = network()
    adapt = attached(model, outputs=3)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(DataError, match=message):
        adapt.step(given, batch(1))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(theta.grad is None for theta in model.parameters())


def test_integer_labels_of_any_width_are_labels():
    adapt = attached(network())
    inputs, labels = batch(0)
    for dtype in (torch.int32, torch.int16, torch.uint8):
        assert adapt.step((inputs, labels.to(dtype)), batch(1)).task_loss > 0


def test_all_padding_is_an_error():
    adapt = attached(network())
    inputs, labels = batch(0)
    with pytest.raises(DivergedError, match="the network was not updated"):
        adapt.step((inputs, torch.full_like(labels, -100)), batch(1))


# Random numbers from elsewhere, and compiled models.


class Elsewhere(nn.Module):
    """Draws from NumPy's and Python's generators."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.tensor(np.random.rand(8) > 0.3)
        hidden = self.first(x).tanh() * mask
        return self.last(hidden if random.random() < 0.5 else hidden * 2)


def test_random_numbers_of_other_libraries_are_repeated():
    ours, theirs = Elsewhere(), Elsewhere()
    adapt, descent = attached(ours), sgd(theirs)
    for step in range(4):
        inputs, labels = batch(step)
        random.seed(step)
        np.random.seed(step)
        descent.zero_grad()
        fixed(adapt)(theirs(inputs), labels).backward()
        descent.step()
        expected = random.random(), np.random.rand()
        random.seed(step)
        np.random.seed(step)
        found = adapt.step((inputs, labels), batch(9))
        assert (random.random(), np.random.rand()) == expected
        assert found.hypergradient is not None
        assert_same(ours, theirs)


class Counting(nn.Module):
    """No two passes are alike, and nothing can make them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.passes = nn.Linear(5, 3), 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return self.layer(x) * self.passes


def test_a_pass_that_cannot_be_repeated_is_an_error():
    adapt = attached(Counting(), strategy="reverse")
    with pytest.raises(ConfigurationError, match="outputs differ when a pass is repeated"):
        adapt.step(batch(0), batch(9))


# Processes that train together.


@pytest.mark.parametrize("make", MODELS)
def test_two_processes_with_half_a_batch_each_are_one_with_the_whole(make, tmp_path, free_port):
    mp.spawn(train_half, (make, free_port, str(tmp_path)), nprocs=2)
    build, shape = MODELS[make]
    model = build()
    adapt = attached(model)
    for step in range(3):
        adapt.step(batch(step, 8, shape), batch(50 + step, 8, shape))
    adapt.step_accumulated([batch(70, 8, shape), batch(71, 8, shape)], batch(72, 8, shape))
    saved = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for mine, theirs in zip(saved[0], saved[1], strict=True):
        assert all(torch.equal(mine[k], theirs[k]) for k in mine), "the ranks drifted apart"
    for mine, whole in zip(saved[0], (model.state_dict(), adapt.loss.state_dict()), strict=True):
        for name in whole:
            torch.testing.assert_close(mine[name], whole[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


# Weights outside the step.


def test_hooks_of_parameters_are_followed():
    def build() -> nn.Module:
        model = network(torch.float64)
        model[0].weight.register_hook(lambda g: g * 0.5)
        model[3].weight.register_hook(lambda g: g.clamp(-0.02, 0.02))
        return model

    def after(change: float) -> float:
        model = build()
        adapt = attached(model)
        loss = fixed(adapt).double()
        with torch.no_grad():
            loss.layers[0][0, 0] += change
        x, y = batch(0)
        loss(model(x.double()), y).backward()
        adapt._state.optimizer.step()
        x, y = batch(1)
        return CrossEntropy()(model(x.double()), y).item()

    model = build()
    adapt = attached(model)
    adapt.loss.double()
    pairs = [(x.double(), y) for x, y in (batch(0), batch(1))]
    found = adapt._engine.step(adapt.loss, [pairs[0]], pairs[1], CrossEntropy())
    named = dict(zip(adapt.loss.state_dict(), found.hypergradient, strict=True))
    difference = (after(1e-5) - after(-1e-5)) / 2e-5
    assert float(named["layers.0"][0, 0]) == pytest.approx(difference, rel=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_attention_is_said_once(recwarn):
    from lossforge.training.hypergradient import SlowPathWarning

    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
            self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            rows = self.first(x)[None]
            return self.last(self.mix(rows, rows, rows, need_weights=False)[0][0])

    adapt = attached(Attending())
    with pytest.warns(SlowPathWarning, match="math backend"):
        adapt.step(batch(0), batch(1))
    adapt.step(batch(2), batch(3))
    assert not [w for w in recwarn if issubclass(w.category, SlowPathWarning)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_code_with_random_numbers_of_its_own_gives_way_to_the_model():
    """The default compiler draws dropout masks by another rule."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
    adapt = attached(torch.compile(model), optimizer=sgd(model))
    for step in range(3):
        assert adapt.step(batch(step), batch(9)).hypergradient is not None


def test_data_parallel_copies_are_refused():
    model = nn.DataParallel(nn.Linear(2, 2))
    model.device_ids = [0, 1]
    with pytest.raises(ConfigurationError, match=r"use nn.parallel.DistributedDataParallel"):
        AdaLFL().attach(model, torch.optim.SGD(model.parameters(), 0.1))
