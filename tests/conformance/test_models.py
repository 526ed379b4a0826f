"""One suite over every family of networks: what searches, training and a person rely on."""

import warnings

import pytest
import torch
import torch.autograd.forward_ad as fwAD
from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.losses import CrossEntropy, SymbolicLoss, as_population
from lossforge.models import FAMILIES, describe, initialize, resolve
from lossforge.specs import from_options, parse_spec
from lossforge.tasks import Split, Task
from lossforge.training import SGD, Network
from lossforge.training.hypergradient import Start, choose_strategy, hypergradient

SMALL = {
    "linear": "linear",
    "mlp": "mlp:width=16",
    "lenet": "lenet",
    "alexnet": "alexnet",
    "vgg16": "vgg16:width=4",
    "allcnn_c": "allcnn_c:width=6",
    "conv4": "conv4:width=6",
    "resnet18": "resnet18:width=4",
    "preact_resnet18": "preact_resnet18:width=4",
    "wideresnet": "wideresnet:depth=10,widen=1",
    "squeezenet": "squeezenet",
    "pyramidnet": "pyramidnet:depth=8,alpha=8",
    "gru": "gru:width=8",
    "lstm": "lstm:width=8",
}
SEQUENCES = ("gru", "lstm")
each = pytest.mark.parametrize("name", FAMILIES)


def shape_for(name: str) -> tuple[int, ...]:
    return (9, 5) if name in SEQUENCES else (3, 16, 20)


def toy(*shape: int) -> Task:
    """Two classes of inputs of a shape."""
    inputs = torch.randn(8, *shape, generator=torch.Generator().manual_seed(0))
    parts = (Split(inputs, torch.arange(8) % 2, torch.arange(8 * i, 8 * i + 8)) for i in range(3))
    return Task("toy", "classification", 2, *parts)


def small(name: str, seed: int = 0) -> tuple[nn.Module, Task]:
    task = toy(*shape_for(name))
    return initialize(resolve(SMALL[name], task), seed=seed), task


def test_every_family_is_covered():
    assert set(SMALL) == set(FAMILIES)


@each
def test_all_weights_learn(name: str):
    network, task = small(name)
    outputs = network(task.train.inputs)
    assert outputs.shape == (8, 2)
    outputs.square().sum().backward()
    gradients = {key: weight.grad for key, weight in network.named_parameters()}
    assert all(g is not None and g.isfinite().all() and g.any() for g in gradients.values())


@each
def test_outputs_begin_at_a_sensible_size(name: str):
    network, task = small(name)
    outputs = network.train()(task.train.inputs)
    assert 1e-3 < outputs.std() < 10


@each
def test_spec_and_instance_and_name_give_the_same_network(name: str):
    task = toy(*shape_for(name))
    key, options = parse_spec(SMALL[name])
    family = from_options(FAMILIES[key], options)
    assert family.name == name
    first, second, third = (
        initialize(resolve(model, task), seed=3).state_dict()
        for model in (SMALL[name], family, describe(family))
    )
    for weight in first:
        assert torch.equal(first[weight], second[weight])
        assert torch.equal(first[weight], third[weight])


@each
def test_seeds_differ(name: str):
    (one, _), (two, _) = small(name, 0), small(name, 1)
    assert not torch.equal(next(one.parameters()), next(two.parameters()))


@each
def test_one_example_does_not_disturb_another_in_evaluation(name: str):
    network, task = small(name)
    network.eval()
    whole = network(task.train.inputs)
    torch.testing.assert_close(network(task.train.inputs[:3]), whole[:3], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in SEQUENCES])
def test_forward_mode_agrees_with_central_differences(name: str):
    network, task = small(name)
    network.double().eval()
    inputs = task.train.inputs.double()
    theta = {k: v.detach() for k, v in network.named_parameters()}
    along = {k: torch.randn_like(v) for k, v in theta.items()}

    def outputs(step: float) -> torch.Tensor:
        moved = {k: v + step * along[k] for k, v in theta.items()}
        return torch.func.functional_call(network, moved, inputs)

    with fwAD.dual_level():
        dual = {k: fwAD.make_dual(v, along[k]) for k, v in theta.items()}
        tangent = fwAD.unpack_dual(torch.func.functional_call(network, dual, inputs)).tangent
    # Rectifiers have kinks: the step is so small that none is crossed.
    expected = (outputs(1e-10) - outputs(-1e-10)) / 2e-10
    assert (tangent - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("name", SEQUENCES)
def test_recurrent_networks_have_a_hypergradient_all_the_same(name: str):
    network, task = small(name)
    wrapped = Network(network)
    theta, optimizer = wrapped.parameters(), SGD(0.1)
    start = Start(wrapped, theta, optimizer, optimizer.init(theta))
    batch = (task.train.inputs, task.train.targets)
    losses = as_population([SymbolicLoss("(y - p)**2")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        strategy = choose_strategy(start, task.train.inputs)
    found = hypergradient(start, losses, [batch], batch, CrossEntropy(), strategy)
    unrolled = hypergradient(start, losses, [batch], batch, CrossEntropy(), "unroll")
    torch.testing.assert_close(found.gradient, unrolled.gradient, rtol=1e-3, atol=1e-6)


@each
def test_misfits_are_told_before_training(name: str):
    shape = (3, 4, 4, 4)
    if name in ("linear", "mlp"):
        pytest.skip("takes inputs of every shape")
    with pytest.raises(ConfigurationError, match=rf"{name} takes .* choose mlp"):
        resolve(SMALL[name], toy(*shape))


PUBLISHED = [
    ("lenet", (1, 28, 28), 10, 61_706, 0),
    ("alexnet", (3, 32, 32), 10, 2_472_266, 0),
    ("vgg16", (3, 32, 32), 10, 14.7e6, 0.05e6),
    ("allcnn_c", (3, 32, 32), 10, 1_369_738, 0),
    ("resnet18", (3, 32, 32), 10, 11_173_962, 0),
    ("preact_resnet18", (3, 32, 32), 10, 11.17e6, 0.005e6),
    ("wideresnet:depth=28,widen=10", (3, 32, 32), 10, 36.5e6, 0.05e6),
    ("wideresnet:depth=16,widen=8", (3, 32, 32), 10, 11.0e6, 0.05e6),
    ("wideresnet:depth=40,widen=4", (3, 32, 32), 10, 8.9e6, 0.05e6),
    ("squeezenet", (3, 32, 32), 100, 0.78e6, 0.005e6),
    ("pyramidnet:depth=110,alpha=48", (3, 32, 32), 10, 1.7e6, 0.05e6),
    ("pyramidnet:depth=110,alpha=270", (3, 32, 32), 10, 28.3e6, 0.3e6),
]


@pytest.mark.parametrize(("spec", "shape", "outputs", "published", "rounding"), PUBLISHED)
def test_parameter_counts_are_the_published_ones(spec, shape, outputs, published, rounding):
    name, options = parse_spec(spec)
    network = from_options(FAMILIES[name], options).build(shape, outputs)
    count = sum(weight.numel() for weight in network.parameters())
    assert abs(count - published) <= rounding
