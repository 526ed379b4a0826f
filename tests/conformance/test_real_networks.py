"""Adaptive losses are exact on every network of the shelf, or say which operator cannot be.

The reference is PyTorch itself: a step of training under the same loss held fixed, and, in float64
on the smaller networks, central differences of real steps.
"""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from conformance.network_shelf import NASTY, TRANSFORMERS, Specimen, read_logits, run_network
from lossforge.errors import ConfigurationError
from lossforge.losses import CrossEntropy, ModulePopulation, NeuralLoss
from lossforge.methods import AdaLFL
from lossforge.methods.adalfl import AdaptiveTraining
from lossforge.randomness import isolated_seed
from lossforge.training import SGD, Network
from lossforge.training.hypergradient import (
    Start,
    choose_strategy,
    hypergradient,
)
from lossforge.training.module import OutputSpec, replaced

SHELF = (*TRANSFORMERS, *NASTY)
each = pytest.mark.parametrize("specimen", SHELF, ids=str)
each_small = pytest.mark.parametrize(
    "specimen", [one for one in SHELF if one.small and one.float64], ids=str
)

SETTINGS = AdaLFL(hidden=(4,), activation="softplus", warm_up_scales=(1.0,))
EPSILON = 1e-4

pytestmark = pytest.mark.filterwarnings("ignore::lossforge.training.hypergradient.SlowPathWarning")


def build(specimen: Specimen) -> nn.Module:
    for package in specimen.requires:
        pytest.importorskip(package, reason=f"{specimen} needs {package}")
    with isolated_seed(0):
        return specimen.build()


def batch_of(specimen: Specimen, seed: int, dtype: torch.dtype = torch.float32) -> Any:
    inputs, targets = specimen.batch(torch.Generator().manual_seed(seed))
    if isinstance(inputs, Tensor):
        return inputs.to(dtype) if inputs.is_floating_point() else inputs, targets
    named = {k: v.to(dtype) if v.is_floating_point() else v for k, v in inputs.items()}
    return named, targets


def optimizer_of(network: nn.Module) -> torch.optim.SGD:
    learned = [p for p in network.parameters() if p.requires_grad]
    return torch.optim.SGD(learned, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01)


def loss_network(specimen: Specimen, dtype: torch.dtype = torch.float32) -> NeuralLoss:
    """A loss that is far from any handcrafted one."""
    generator = torch.Generator().manual_seed(3)
    loss = NeuralLoss(SETTINGS.architecture("classification"), generator)
    nn.init.normal_(loss.layers[-1], generator=generator)
    loss.set_scale(0.7)
    return loss.to(dtype).requires_grad_()


def attach(
    specimen: Specimen, network: nn.Module, strategy: str = "auto", dtype=torch.float32
) -> tuple[AdaptiveTraining, torch.optim.Optimizer]:
    optimizer = optimizer_of(network)
    adapt = SETTINGS.attach(
        network,
        optimizer,
        outputs=specimen.classes,
        class_dim=specimen.class_dim,
        strategy=strategy,
    )
    adapt.loss.to(dtype).load_state_dict(loss_network(specimen, dtype).state_dict())
    return adapt, optimizer


def plain_loss(specimen: Specimen, network: nn.Module, loss: nn.Module, batch: Any) -> Tensor:
    logits = read_logits(run_network(network, batch[0])).movedim(specimen.class_dim, 1)
    return loss(logits, batch[1])


def close(ours: Any, theirs: Any, rtol: float) -> None:
    """Compare tensors by the largest number in them, for small ones among them are rounding."""
    for name, theirs_of in theirs.items():
        ours_of = ours[name]
        if not theirs_of.is_floating_point():
            assert torch.equal(ours_of, theirs_of), name
            continue
        scale = float(theirs_of.abs().amax()) if theirs_of.numel() else 0.0
        torch.testing.assert_close(
            ours_of,
            theirs_of,
            rtol=rtol,
            atol=rtol * max(scale, 1e-2),
            msg=name,
        )


def require_honest(specimen: Specimen, error: ConfigurationError) -> None:
    """An error is right where PyTorch itself cannot differentiate a backward pass; it names why."""
    assert specimen.no_double_backward, error
    assert specimen.no_double_backward in str(error)


@each
def test_training_is_that_of_pytorch(specimen):
    """Three adapting steps end with the weights and buffers of plain training."""
    ours, theirs = build(specimen), build(specimen)
    adapt, _ = attach(specimen, ours)
    expected = optimizer_of(theirs)
    for seed in range(3):
        batch, valid = batch_of(specimen, seed), batch_of(specimen, 10 + seed)
        fixed = copy.deepcopy(adapt.loss).requires_grad_(False)
        torch.manual_seed(seed)
        expected.zero_grad()
        plain_loss(specimen, theirs, fixed, batch).backward()
        expected.step()
        theirs_random = torch.get_rng_state()
        torch.manual_seed(seed)
        try:
            adapt.step(batch, valid)
        except ConfigurationError as error:
            require_honest(specimen, error)
            return
        assert torch.equal(torch.get_rng_state(), theirs_random)
        close(ours.state_dict(), theirs.state_dict(), 1e-5)


def hypergradient_of(
    specimen: Specimen, strategy: str, step: int = 1, dtype=torch.float32
) -> list[Tensor]:
    """dT/dphi of the last of several steps; the later ones may share their training pass."""
    network = build(specimen).to(dtype)
    adapt, _ = attach(specimen, network, strategy, dtype)
    engine, found = adapt._engine, None
    for seed in range(step):
        torch.manual_seed(seed)
        batches = batch_of(specimen, seed, dtype), batch_of(specimen, 10 + seed, dtype)
        found = engine.step(adapt.loss, [batches[0]], batches[1], CrossEntropy())
    return found.hypergradient


@each
def test_the_hypergradient_is_that_of_the_reverse_strategy(specimen):
    try:
        expected = hypergradient_of(specimen, "reverse", step=2)
    except ConfigurationError as error:
        require_honest(specimen, error)
        return
    found = hypergradient_of(specimen, "auto", step=2)
    scale = max(float(g.abs().max()) for g in expected)
    assert scale > 0
    for ours, theirs in zip(found, expected, strict=True):
        assert float((ours - theirs).abs().max()) <= 1e-4 * scale


def stepped(specimen: Specimen, loss: NeuralLoss, change: tuple[int, float]) -> nn.Module:
    """The network after one real step of PyTorch under a loss with one number moved."""
    network = build(specimen).double()
    moved = copy.deepcopy(loss).requires_grad_(False)
    vector = torch.nn.utils.parameters_to_vector(moved.parameters())
    vector[change[0]] += change[1]
    torch.nn.utils.vector_to_parameters(vector, moved.parameters())
    optimizer = optimizer_of(network)
    torch.manual_seed(0)
    plain_loss(specimen, network, moved, batch_of(specimen, 0, torch.float64)).backward()
    optimizer.step()
    return network


def task_gradient(specimen: Specimen, loss: NeuralLoss) -> dict[str, Tensor]:
    """v, as PyTorch computes it after the step; hooks on the way are there for training alone."""
    network = stepped(specimen, loss, (0, 0.0))
    for part in network.modules():
        if part._backward_hooks or getattr(part, "_backward_pre_hooks", None):
            part._backward_hooks.clear()
            part._backward_pre_hooks.clear()
    places = dict(network.named_parameters())
    hooks = ("_backward_hooks", "_post_accumulate_grad_hooks")
    leaves, replacements = places, {}
    if any(getattr(theta, hook, None) for theta in places.values() for hook in hooks):
        leaves = {name: theta.detach().requires_grad_() for name, theta in places.items()}
        replacements = {id(places[name]): leaf for name, leaf in leaves.items()}
    for leaf in leaves.values():
        leaf.grad = None
    with replaced(network, replacements):
        batch = batch_of(specimen, 10, torch.float64)
        plain_loss(specimen, network, CrossEntropy(), batch).backward()
    return {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}


@each_small
def test_small_networks_agree_with_central_differences(specimen):
    """dT/dphi is how a real step moves along -v with phi, v being what PyTorch's backward gives.

    Not T itself: where a network rounds, detaches or reverses, PyTorch's gradient is on purpose not
    T's derivative, and an exact hypergradient follows PyTorch.
    """
    try:
        found = hypergradient_of(specimen, "auto", dtype=torch.float64)
    except ConfigurationError as error:
        require_honest(specimen, error)
        return
    flat = torch.cat([g.flatten() for g in found])
    loss = loss_network(specimen, torch.float64)
    v = task_gradient(specimen, loss)
    scale = float(flat.abs().max())
    assert scale > 1e-7
    for index in flat.abs().argsort(descending=True)[:4].tolist():
        ends = [
            dict(stepped(specimen, loss, (index, sign * EPSILON)).named_parameters())
            for sign in (1, -1)
        ]
        with torch.no_grad():
            moved = sum(float(((ends[0][name] - ends[1][name]) * v[name]).sum()) for name in v)
        assert abs(moved / (2 * EPSILON) - float(flat[index])) <= 1e-6 * scale, index


@each
def test_the_offline_hypergradient_is_that_of_unrolling(specimen):
    network = Network(build(specimen), OutputSpec(class_dim=specimen.class_dim))
    parameters = network.parameters()
    optimizer = SGD(0.05, momentum=0.9, nesterov=True)
    start = Start(network, parameters, optimizer, optimizer.init(parameters))
    train, valid = batch_of(specimen, 0), batch_of(specimen, 1)
    losses = ModulePopulation([loss_network(specimen)])

    def run(strategy):
        with isolated_seed(5):
            found = hypergradient(start, losses, [train], valid, CrossEntropy(), strategy)
        return found.gradient[0]

    try:
        strategy = choose_strategy(start, train[0])
    except ConfigurationError as error:
        if "Jitted" not in str(error):  # PyTorch cannot call a script with other weights
            require_honest(specimen, error)
        return
    found = run(strategy)
    if specimen.no_double_backward:  # nothing to hold forward mode against but differences, above
        return
    expected = run("unroll")
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
