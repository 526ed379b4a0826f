"""Optimizers of PyTorch to differentiate through, and central differences of their real steps.

A large epsilon keeps the derivative of an adaptive step well above rounding: with a tiny one, the
first step is close to a sign.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import (
    ASGD,
    LBFGS,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Muon,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
    SparseAdam,
)

Parameters = list[Tensor]

SHAPES = ((3, 2), (4,), ())
BETAS = (0.8, 0.95)


@dataclass(frozen=True)
class OptimizerCase:
    """An optimizer's constructor and the steps that it takes before it is differentiated."""

    build: Callable[[Parameters], Optimizer]
    warm_steps: int = 3

    def __post_init__(self) -> None:
        if self.warm_steps < 0:
            raise ValueError("warm_steps must be at least 0")


def case(kind: Callable[..., Optimizer], warm_steps: int = 3, **settings: Any) -> OptimizerCase:
    """A kind of optimizer with settings; PyTorch refuses names that it does not know."""
    return OptimizerCase(lambda parameters: kind(parameters, **settings), warm_steps)


def grouped(
    kind: Callable[..., Optimizer], first: Mapping[str, Any], second: Mapping[str, Any]
) -> OptimizerCase:
    """Two groups with their own settings: the last parameter is alone in the second."""
    return OptimizerCase(
        lambda parameters: kind(
            [{"params": parameters[:-1], **first}, {"params": parameters[-1:], **second}]
        )
    )


def random_tensors(seed: int) -> list[Tensor]:
    """A matrix, a vector and a scalar in float64."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES]


def warmed_up(optimizer_case: OptimizerCase) -> tuple[Parameters, Optimizer]:
    """Parameters and their optimizer after its warm steps."""
    parameters = [tensor.requires_grad_() for tensor in random_tensors(0)]
    optimizer = optimizer_case.build(parameters)
    for step in range(optimizer_case.warm_steps):
        set_gradients(parameters, random_tensors(step + 1))
        optimizer.step()
    return parameters, optimizer


def set_gradients(parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    """Give each parameter a copy of its gradient: an optimizer may overwrite it."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()


def real_step(optimizer_case: OptimizerCase, gradients: Sequence[Tensor]) -> list[Tensor]:
    """The parameters after the warm steps and one more with these gradients."""
    parameters, optimizer = warmed_up(optimizer_case)
    set_gradients(parameters, gradients)
    optimizer.step()
    return [parameter.detach() for parameter in parameters]


def step_derivative(
    optimizer_case: OptimizerCase,
    gradients: Sequence[Tensor],
    directions: Sequence[Tensor],
    epsilon: float = 1e-5,
) -> list[Tensor]:
    """Central differences of the real step along directions of its gradients."""
    ahead, behind = (
        real_step(
            optimizer_case, [g + size * d for g, d in zip(gradients, directions, strict=True)]
        )
        for size in (epsilon, -epsilon)
    )
    return [(a - b) / (2 * epsilon) for a, b in zip(ahead, behind, strict=True)]


SMOOTH_ADAM: Mapping[str, Any] = {"lr": 0.1, "betas": BETAS, "eps": 1e-2}
SMOOTH_RMSPROP: Mapping[str, Any] = {"lr": 0.1, "alpha": 0.9, "eps": 1e-2}
MOMENTUM: Mapping[str, Any] = {"lr": 0.1, "momentum": 0.9}

ELEMENTWISE: Mapping[str, OptimizerCase] = {
    "sgd": case(SGD, lr=0.1),
    "sgd-rate-zero": case(SGD, lr=0.0, momentum=0.9, weight_decay=0.1),
    "sgd-tensor-rate": case(SGD, lr=torch.tensor(0.1, dtype=torch.float64), momentum=0.9),
    "sgd-decay": case(SGD, lr=0.1, weight_decay=0.2),
    "sgd-maximize": case(SGD, lr=0.1, weight_decay=0.2, maximize=True),
    "sgd-momentum": case(SGD, **MOMENTUM),
    "sgd-momentum-first-step": case(SGD, warm_steps=0, dampening=0.3, **MOMENTUM),
    "sgd-dampening": case(SGD, dampening=0.3, weight_decay=0.1, **MOMENTUM),
    "sgd-nesterov": case(SGD, nesterov=True, weight_decay=0.1, **MOMENTUM),
    "sgd-nesterov-maximize": case(SGD, nesterov=True, maximize=True, weight_decay=0.1, **MOMENTUM),
    "sgd-foreach": case(SGD, foreach=True, dampening=0.3, weight_decay=0.1, **MOMENTUM),
    "sgd-fused": case(SGD, fused=True, nesterov=True, weight_decay=0.1, **MOMENTUM),
    "sgd-groups": grouped(
        SGD,
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
        {"lr": 0.3, "momentum": 0.5, "nesterov": True},
    ),
    "adam": case(Adam, **SMOOTH_ADAM),
    "adam-defaults": case(Adam),
    "adam-first-step": case(Adam, warm_steps=0, lr=0.1, eps=0.1),
    "adam-rate-zero": case(Adam, lr=0.0, weight_decay=0.1),
    "adam-decay": case(Adam, weight_decay=0.1, **SMOOTH_ADAM),
    "adam-decoupled": case(Adam, weight_decay=0.1, decoupled_weight_decay=True, **SMOOTH_ADAM),
    "adam-maximize": case(Adam, weight_decay=0.1, maximize=True, **SMOOTH_ADAM),
    "adam-amsgrad": case(Adam, amsgrad=True, weight_decay=0.1, **SMOOTH_ADAM),
    "adam-tensor-rate": case(
        Adam, lr=torch.tensor(0.1, dtype=torch.float64), betas=BETAS, eps=1e-2, foreach=False
    ),
    "adam-foreach": case(Adam, foreach=True, weight_decay=0.1, **SMOOTH_ADAM),
    "adam-amsgrad-foreach": case(Adam, foreach=True, amsgrad=True, maximize=True, **SMOOTH_ADAM),
    "adam-fused": case(Adam, fused=True, weight_decay=0.1, **SMOOTH_ADAM),
    "adam-amsgrad-fused": case(Adam, fused=True, amsgrad=True, maximize=True, **SMOOTH_ADAM),
    "adamw": case(AdamW, weight_decay=0.1, **SMOOTH_ADAM),
    "adamw-amsgrad": case(AdamW, weight_decay=0.1, amsgrad=True, **SMOOTH_ADAM),
    "adamw-maximize": case(AdamW, weight_decay=0.1, maximize=True, **SMOOTH_ADAM),
    "adamw-foreach": case(AdamW, weight_decay=0.1, foreach=True, **SMOOTH_ADAM),
    "adamw-fused": case(AdamW, weight_decay=0.1, fused=True, **SMOOTH_ADAM),
    "adamw-groups": grouped(
        AdamW,
        {"lr": 0.1, "betas": BETAS, "eps": 1e-2, "weight_decay": 0.2},
        {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.0, "amsgrad": True},
    ),
    "rmsprop": case(RMSprop, **SMOOTH_RMSPROP),
    "rmsprop-decay": case(RMSprop, weight_decay=0.1, maximize=True, **SMOOTH_RMSPROP),
    "rmsprop-momentum": case(RMSprop, momentum=0.9, **SMOOTH_RMSPROP),
    "rmsprop-centered": case(RMSprop, centered=True, **SMOOTH_RMSPROP),
    "rmsprop-centered-momentum": case(
        RMSprop, centered=True, momentum=0.9, weight_decay=0.1, **SMOOTH_RMSPROP
    ),
    "rmsprop-foreach": case(RMSprop, centered=True, momentum=0.9, foreach=True, **SMOOTH_RMSPROP),
    "adagrad": case(Adagrad, lr=0.1, eps=1e-2),
    "adagrad-first-step": case(Adagrad, warm_steps=0, lr=0.1, eps=0.1),
    "adagrad-decaying": case(
        Adagrad, lr=0.1, lr_decay=0.1, initial_accumulator_value=0.5, weight_decay=0.1
    ),
    "adagrad-maximize": case(Adagrad, lr=0.1, maximize=True, weight_decay=0.1, eps=1e-2),
    "adagrad-foreach": case(Adagrad, lr=0.1, lr_decay=0.1, foreach=True, eps=1e-2),
    "adagrad-fused": case(
        Adagrad, lr=0.1, lr_decay=0.1, weight_decay=0.1, fused=True, initial_accumulator_value=0.5
    ),
    "nadam": case(NAdam, momentum_decay=0.1, **SMOOTH_ADAM),
    "nadam-decay": case(NAdam, weight_decay=0.1, maximize=True, **SMOOTH_ADAM),
    "nadam-decoupled": case(NAdam, weight_decay=0.1, decoupled_weight_decay=True, **SMOOTH_ADAM),
    "nadam-foreach": case(
        NAdam, weight_decay=0.1, decoupled_weight_decay=True, foreach=True, **SMOOTH_ADAM
    ),
    "radam-not-yet-rectified": case(RAdam, weight_decay=0.1, **SMOOTH_ADAM),
    "radam-rectified": case(RAdam, warm_steps=8, weight_decay=0.1, **SMOOTH_ADAM),
    "radam-decoupled": case(
        RAdam, warm_steps=8, weight_decay=0.1, decoupled_weight_decay=True, **SMOOTH_ADAM
    ),
    "radam-foreach": case(RAdam, warm_steps=8, maximize=True, foreach=True, **SMOOTH_ADAM),
    "adamax": case(Adamax, **SMOOTH_ADAM),
    "adamax-decay": case(Adamax, weight_decay=0.1, maximize=True, **SMOOTH_ADAM),
    "adamax-foreach": case(Adamax, weight_decay=0.1, foreach=True, **SMOOTH_ADAM),
    "adadelta": case(Adadelta, lr=1.0, rho=0.8, eps=1e-2),
    "adadelta-decay": case(Adadelta, lr=0.5, eps=1e-2, weight_decay=0.1, maximize=True),
    "adadelta-foreach": case(Adadelta, lr=0.5, eps=1e-2, weight_decay=0.1, foreach=True),
    "asgd": case(ASGD, lr=0.1, lambd=0.1, t0=1.0),
    "asgd-decay": case(ASGD, lr=0.1, alpha=0.5, weight_decay=0.1, maximize=True),
    "asgd-foreach": case(ASGD, lr=0.1, lambd=0.1, weight_decay=0.1, foreach=True),
}


class HalvedSGD(SGD):
    """A person's own subclass, whose step is not the one of its parent."""

    def step(self, closure: Any = None) -> Any:
        """Halve the gradients and step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.mul_(0.5)
        return super().step(closure)


class SignDescent(Optimizer):
    """A person's own optimizer."""

    def __init__(self, params: Any, lr: float = 0.1):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        """Step by the gradient's sign."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(group["lr"] * parameter.grad.sign())


# Not elementwise, not differentiable or not PyTorch's: the key is the name to find in the error.
UNSUPPORTED: Mapping[str, Callable[[Parameters], Optimizer]] = {
    "LBFGS": lambda parameters: LBFGS(parameters, lr=0.1, max_iter=2),
    "SparseAdam": SparseAdam,
    "Adafactor": Adafactor,
    "Muon": lambda parameters: Muon([p for p in parameters if p.dim() == 2]),
    "Rprop": Rprop,
    "HalvedSGD": lambda parameters: HalvedSGD(parameters, lr=0.1),
    "SignDescent": SignDescent,
}
