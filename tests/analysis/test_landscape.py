"""Surroundings of trained weights: known bowls, filter norms, features, pictures."""

import pytest
import torch
from torch import nn

from lossforge.analysis.landscape import (
    draw_landscapes,
    draw_projections,
    penultimate,
    project,
    random_direction,
    surroundings,
)
from lossforge.cli import main
from lossforge.errors import ConfigurationError
from lossforge.losses import Squared
from lossforge.tasks import Split


def test_every_filter_has_the_network_s_norm_and_vectors_stay():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    direction = random_direction(network, torch.Generator().manual_seed(0))
    assert set(direction) == {"0.weight", "3.weight"}
    for name, moved in direction.items():
        own = network.get_parameter(name).detach()
        torch.testing.assert_close(moved.flatten(1).norm(dim=1), own.flatten(1).norm(dim=1))


def bowl() -> tuple[nn.Module, Split]:
    """A linear network at the minimum of squared error on orthonormal rows."""
    network = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[3.0, 4.0]]))
    inputs = torch.eye(2)
    return network, Split(inputs, network(inputs).detach(), torch.arange(2))


def test_the_loss_of_a_linear_network_is_a_parabola():
    network, split = bowl()
    draws = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    one, two = (random_direction(network, draw) for draw in draws)
    found = surroundings("mse", network, split, Squared(), (one, two), span=1.0, points=5)
    # |direction| = |weight| = 5, so the mean square over two rows is (5 a)^2 / 2.
    expected = [12.5 * a * a for a in found.offsets]
    assert found.line == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert found.plane[2] == found.line
    assert found.sharpness == pytest.approx(12.5 * 0.25, rel=1e-4)
    assert network.weight.tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize("settings", [{"points": 4}, {"points": 1}, {"span": 0.0}])
def test_grids_that_miss_the_weights_are_refused(settings):
    network, split = bowl()
    one = random_direction(network, torch.Generator())
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        surroundings("mse", network, split, Squared(), (one, one), **settings)


def test_penultimate_features_go_into_the_last_layer():
    network = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    inputs = torch.randn(4, 3)
    torch.testing.assert_close(penultimate(network, inputs), network[:2](inputs))
    with pytest.raises(ConfigurationError, match="no linear layer"):
        penultimate(nn.Identity(), inputs)


def test_pictures_are_drawn(tmp_path):
    network, split = bowl()
    one = random_direction(network, torch.Generator())
    found = surroundings("mse", network, split, Squared(), (one, one), points=3)
    draw_landscapes([found, found], "mse", tmp_path)
    places = project(torch.randn(20, 3))
    draw_projections([("mse", places)], torch.arange(20) % 3, 3, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{n}.{e}" for n in ("line", "planes", "features") for e in ("png", "svg")}


def test_the_command_compares_two_losses(tmp_path, capsys):
    words = ["landscape", "--losses", "cross_entropy", "focal", "--task", "iris"]
    words += ["--model", "mlp:width=8", "--steps", "20", "--points", "3", "--rows", "20"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "planes.png").exists()
    assert "focal" in capsys.readouterr().out
    assert main(["landscape", "--losses", "focl", "--task", "iris", "--out", str(tmp_path)]) == 2
    assert "did you mean 'focal'" in capsys.readouterr().err
