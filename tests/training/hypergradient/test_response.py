import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError
from lossforge.training.hypergradient import OptimizerResponse


def weights() -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(3, dtype=torch.float64)) for _ in range(2)]


OPTIMIZERS = [
    lambda p: torch.optim.SGD(p, 0.1),
    lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.1),
    lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.1, betas=(0.8, 0.99)),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
@pytest.mark.parametrize("steps_before", [0, 1, 3])
def test_sensitivity_is_the_derivative_of_the_real_step(make, steps_before):
    def after(change: float) -> list[torch.Tensor]:
        parameters = weights()
        optimizer = make([{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.03}])
        for step in range(steps_before + 1):
            torch.manual_seed(step + 7)
            for theta in parameters:
                theta.grad = torch.randn_like(theta)
            if step == steps_before:
                slopes = OptimizerResponse(optimizer).slopes([p.grad.clone() for p in parameters])
                for theta in parameters:
                    theta.grad += change
            optimizer.step()
        return [p.detach() for p in parameters], slopes

    (above, slopes), (below, _) = after(1e-6), after(-1e-6)
    for a, b, slope in zip(above, below, slopes, strict=True):
        expected = -(a - b) / 2e-6
        torch.testing.assert_close(
            torch.as_tensor(slope).expand(3).double(), expected, rtol=1e-5, atol=1e-9
        )


@pytest.mark.parametrize("rule", [torch.optim.LBFGS, torch.optim.Rprop, torch.optim.Adafactor])
def test_what_cannot_be_followed_is_refused(rule):
    with pytest.raises(ConfigurationError, match=f"cannot follow {rule.__name__}; use one of"):
        OptimizerResponse(rule(weights()))


def test_a_scheduled_learning_rate_is_seen():
    parameters = weights()
    optimizer = torch.optim.SGD(parameters, 0.1)
    mirror = OptimizerResponse(optimizer)
    optimizer.param_groups[0]["lr"] = 0.025
    assert mirror.slopes([torch.zeros(3)] * 2) == [0.025, 0.025]
