"""The shelf of networks is sound: each one trains in plain PyTorch, and its randomness replays."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from conformance import nasty_networks, transformer_networks
from conformance.network_shelf import NASTY, TRANSFORMERS, Specimen, read_logits, run_network

SHELF = (*TRANSFORMERS, *NASTY)
each = pytest.mark.parametrize("specimen", SHELF, ids=str)
each_small = pytest.mark.parametrize("specimen", [one for one in SHELF if one.small], ids=str)


def make(specimen: Specimen) -> nn.Module:
    for package in specimen.requires:
        pytest.importorskip(package, reason=f"{specimen} needs {package}")
    torch.manual_seed(0)
    return specimen.build()


def loss_of(specimen: Specimen, network: nn.Module, double: bool = False) -> tuple[Tensor, Tensor]:
    """The cross-entropy on the specimen's batch, and the logits."""
    inputs, targets = specimen.batch(torch.Generator().manual_seed(1))
    if double:
        named = {"": inputs} if isinstance(inputs, Tensor) else inputs
        named = {k: v.double() if v.is_floating_point() else v for k, v in named.items()}
        inputs = named[""] if isinstance(inputs, Tensor) else named
    logits = read_logits(run_network(network, inputs)).movedim(specimen.class_dim, 1)
    assert logits.shape == (len(targets), specimen.classes, *targets.shape[1:])
    return F.cross_entropy(logits, targets), logits


def gradients(network: nn.Module) -> dict[str, Tensor]:
    """The gradients that the weights hold."""
    named = network.named_parameters()
    return {name: p.grad.clone() for name, p in named if p.grad is not None}


def test_the_shelf_is_long_and_its_names_differ():
    assert len(TRANSFORMERS) >= 36
    assert len(NASTY) >= 30
    names = [specimen.name for specimen in SHELF]
    assert len(set(names)) == len(names)
    assert all(specimen.why and "\n" not in specimen.why for specimen in SHELF)


def test_what_pytorch_cannot_do_is_said_of_specimens_on_the_shelf():
    assert set(nasty_networks.NO_FORWARD_MODE) <= {specimen.name for specimen in NASTY}
    assert set(nasty_networks.NO_DOUBLE_BACKWARD) <= {specimen.name for specimen in NASTY}
    names = {specimen.name for specimen in TRANSFORMERS}
    assert set(transformer_networks.NO_FORWARD_MODE) | transformer_networks.FLOAT32_INSIDE <= names


def test_a_specimen_needs_two_classes():
    with pytest.raises(ValueError, match="classes must be at least 2"):
        replace(NASTY[0], classes=1)


@each
def test_it_trains_in_plain_pytorch(specimen: Specimen):
    network = make(specimen)
    assert network.training
    optimizer = torch.optim.SGD((p for p in network.parameters() if p.requires_grad), lr=0.1)
    loss, logits = loss_of(specimen, network)
    loss.backward()
    assert torch.isfinite(logits).all()
    grads = gradients(network)
    assert any(grad.any() for grad in grads.values())
    expected = {name: p.detach().clone() for name, p in network.named_parameters()}
    for name, grad in grads.items():
        assert torch.isfinite(grad).all()
        expected[name] -= 0.1 * grad
    optimizer.step()
    torch.testing.assert_close(
        {name: p.detach() for name, p in network.named_parameters()}, expected
    )


@each
def test_its_randomness_replays(specimen: Specimen):
    network = make(specimen)
    state, random = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    found = []
    for _ in range(2):
        network.load_state_dict(state)
        torch.set_rng_state(random)
        network.zero_grad()
        loss, logits = loss_of(specimen, network)
        loss.backward()
        found.append((logits, gradients(network), torch.get_rng_state()))
    (first, first_grads, first_state), (second, second_grads, second_state) = found
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    torch.testing.assert_close(first_grads, second_grads, rtol=0, atol=0)
    assert torch.equal(first_state, second_state)


@each_small
def test_small_ones_compute_in_float64(specimen: Specimen):
    network = make(specimen).double()
    assert sum(p.numel() for p in network.parameters()) < 1500
    loss, _ = loss_of(specimen, network, double=True)
    loss.backward()
    assert loss.dtype == torch.float64
    assert all(p.dtype == torch.float64 for p in network.parameters())
