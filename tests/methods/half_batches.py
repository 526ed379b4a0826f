"""Training in two processes, each with half of every batch."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lossforge.methods import AdaLFL
from lossforge.methods.adalfl import AdaptiveTraining

SETTINGS = AdaLFL(hidden=(4,), activation="softplus", meta_learning_rate=1e-2, form="")
"""without a form, whose task loss has a temperature of the batch and is no mean of two halves"""


def network(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Linear(5, 8), nn.ReLU(inplace=True), nn.LayerNorm(8), nn.Linear(8, 3)]
    return nn.Sequential(*layers).to(dtype)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True)


def batch(seed: int, rows: int = 6, shape: tuple[int, ...] = (5,)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (rows,), generator=generator)
    return torch.randn(rows, *shape, generator=generator), labels


def attached(model: nn.Module, settings: AdaLFL = SETTINGS, **options: Any) -> AdaptiveTraining:
    optimizer = options.pop("optimizer", None) or sgd(model)
    adapt = settings.attach(model, optimizer, **options)
    nn.init.normal_(adapt.loss.layers[-1], generator=torch.Generator().manual_seed(1))
    return adapt


def plain_conv() -> nn.Module:
    """Without batch norm and dropout, whose numbers depend on how a batch is split."""
    torch.manual_seed(0)
    body = [nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(4, 3))


MODELS = {"dense": (network, (5,)), "convolutional": (plain_conv, (1, 6, 6))}


def train_half(rank: int, make: str, port: int, folder: str) -> None:
    """Train for four steps and save the model and its loss."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    build, shape = MODELS[make]
    half = slice(4 * rank, 4 * rank + 4)

    def part(seed: int) -> tuple[Tensor, Tensor]:
        inputs, labels = batch(seed, 8, shape)
        return inputs[half], labels[half]

    try:
        model = DistributedDataParallel(build())
        adapt = attached(model)
        for step in range(3):
            adapt.step(part(step), part(50 + step))
        adapt.step_accumulated([part(70), part(71)], part(72))
        torch.save((model.module.state_dict(), adapt.loss.state_dict()), f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()
