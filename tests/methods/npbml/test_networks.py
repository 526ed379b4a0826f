"""Encoders: the layers that are written anew give PyTorch's numbers."""

import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError, LossforgeError
from lossforge.methods.npbml.film import FiLM
from lossforge.methods.npbml.networks import Convolution, make_encoder


@pytest.mark.parametrize("channels", [1, 3])
def test_convolutions_are_pytorch_s_and_twice_differentiable(channels):
    torch.manual_seed(0)
    ours = Convolution(channels, 4).double()
    usual = nn.Conv2d(channels, 4, 3, padding=1).double()
    usual.load_state_dict(ours.state_dict())
    x = torch.randn(2, channels, 5, 7, dtype=torch.double)
    found = []
    for layer in (ours, usual):
        leaf = x.clone().requires_grad_()
        outputs = layer(leaf)
        first = torch.autograd.grad(outputs.sin().sum(), [leaf, layer.weight], create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), [leaf, layer.weight])
        found.append([outputs, *first, *second])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("name", "shape", "features"),
    [("conv4", (1, 28, 28), 64), ("conv4", (3, 84, 84), 1600), ("resnet12", (3, 32, 32), 512)],
)
def test_features_of_the_published_encoders(name, shape, features):
    with torch.no_grad():
        outputs = make_encoder(name, shape, 0, warp=False, film=False)(torch.randn(2, *shape))
    assert outputs.shape == (2, features)


def test_warp_layers_change_nothing_at_first():
    plain, warped = (
        make_encoder("conv4", (1, 16, 16), 8, warp=warp, film=False) for warp in (False, True)
    )
    pairs = zip(
        *([m for m in e.modules() if isinstance(m, Convolution)] for e in (plain, warped)),
        strict=True,
    )
    for ours, theirs in pairs:
        theirs.load_state_dict(ours.state_dict())
    x = torch.linspace(-1, 1, 512).view(2, 1, 16, 16)
    torch.testing.assert_close(plain(x), warped(x))


def filmed(name, draw):
    """An encoder with FiLM at the identity, and a function that draws all gammas and betas."""
    torch.manual_seed(0)
    encoder = make_encoder(name, (3, 32, 32), 8, warp=True, film=True)
    films = [module for module in encoder.modules() if isinstance(module, FiLM)]
    assert len(films) == 4
    with torch.no_grad():
        for film in films:
            draw(film.generator)
    return encoder


@pytest.mark.parametrize("name", ["conv4", "resnet12"])
def test_modulation_is_not_removed_by_the_norm(name):
    x = torch.randn(10, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain = filmed(name, lambda generator: None)(x)
        changed = filmed(name, lambda generator: generator.bias.uniform_(-0.5, 0.5))(x)
    assert (changed - plain).norm() > 0.1 * plain.norm()


@pytest.mark.parametrize("name", ["conv4", "resnet12"])
def test_modulation_depends_on_the_task_s_rows(name):
    encoder = filmed(name, lambda generator: generator.weight.normal_(std=0.3))
    found = []
    for film in (module for module in encoder.modules() if isinstance(module, FiLM)):
        film.generator.register_forward_hook(lambda _, seen, out: found.append(out))
    fine = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    coarse = nn.functional.interpolate(fine[..., ::4, ::4], size=32, mode="bilinear")
    with torch.no_grad():
        for task in (fine, coarse):
            encoder(task)
    for one, other in zip(found[:4], found[4:], strict=True):
        assert (one - other).norm() > 0.05 * one.norm()


def test_unsuitable_networks_are_refused():
    with pytest.raises(LossforgeError, match="few-shot network"):
        make_encoder("conv5", (1, 28, 28), 0, warp=False, film=False)
    with pytest.raises(ConfigurationError, match="16x16"):
        make_encoder("conv4", (1, 8, 8), 0, warp=False, film=False)
