"""Losses that people know, as elementwise functions with one number to fit.

A row of the table is what `nearest` compares a learned loss with, and what plots draw beside it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from lossforge.tasks.task import Kind

TINY = 1e-30

Elementwise = Callable[[Tensor, Tensor, float], Tensor]
"""Maps y, p [B, C] and a number to the loss of each output, [B, C]."""


@final
@dataclass(frozen=True)
class Form:
    """A known loss.

    Attributes:
        name: what it is called.
        kind: of the tasks it serves.
        function: of y, p and the parameter.
        parameter: the parameter's name; empty where there is none.
        low: least value of the parameter that is tried.
        high: greatest one.
        logarithmic: whether the parameter is tried on a logarithmic grid.
        about: what it is, in a line.
    """

    name: str
    kind: Kind
    function: Elementwise
    parameter: str = ""
    low: float = 0.0
    high: float = 0.0
    logarithmic: bool = False
    about: str = ""

    def spec(self, value: float) -> str:
        """Return the name with the parameter's value."""
        return f"{self.name}:{self.parameter}={value:.3g}" if self.parameter else self.name


def _log(p: Tensor) -> Tensor:
    return p.clamp_min(TINY).log()


def _smoothed(y: Tensor, p: Tensor, smoothing: float) -> Tensor:
    return -(y * (1 - smoothing) + smoothing / p.shape[1]) * _log(p)


def _focal(y: Tensor, p: Tensor, gamma: float) -> Tensor:
    return -y * (1 - p).clamp_min(TINY).pow(gamma) * _log(p)


def _sparse(y: Tensor, p: Tensor, smoothing: float) -> Tensor:
    classes = p.shape[1]
    spread = smoothing * (classes - 1) / classes
    return -y * ((1 - spread) * _log(p) + spread * _log((1 - p) / (classes - 1)))


def _generalized(y: Tensor, p: Tensor, power: float) -> Tensor:
    return y * (1 - p.clamp_min(TINY).pow(power)) / power


def _huber(y: Tensor, p: Tensor, delta: float) -> Tensor:
    return F.huber_loss(p, y, reduction="none", delta=delta)


def _log_cosh(y: Tensor, p: Tensor, scale: float) -> Tensor:
    error = (p - y).abs() / scale
    return error + F.softplus(-2 * error) - math.log(2)


def _cauchy(y: Tensor, p: Tensor, scale: float) -> Tensor:
    return torch.log1p(((p - y) / scale).square())


FORMS = (
    Form(
        "cross_entropy",
        "classification",
        lambda y, p, _: -y * _log(p),
        about="-log p of the target",
    ),
    Form(
        "squared_probability",
        "classification",
        lambda y, p, _: (y - p).square(),
        about="the Brier score",
    ),
    Form(
        "absolute_probability",
        "classification",
        lambda y, p, _: (y - p).abs(),
        about="1 - p of the target, twice",
    ),
    Form("label_smoothing", "classification", _smoothed, "smoothing", 0.005, 0.9),
    Form("sparse_lsr", "classification", _sparse, "smoothing", 0.005, 0.9),
    Form("focal", "classification", _focal, "gamma", 0.05, 6.0),
    Form(
        "generalized_cross_entropy",
        "classification",
        _generalized,
        "power",
        0.05,
        0.95,
        about="(1 - p^q)/q of the target (Zhang & Sabuncu 2018)",
    ),
    Form("mse", "regression", lambda y, p, _: (p - y).square(), about="squared error"),
    Form("mae", "regression", lambda y, p, _: (p - y).abs(), about="absolute error"),
    Form("huber", "regression", _huber, "delta", 0.03, 3.0, logarithmic=True),
    Form("log_cosh", "regression", _log_cosh, "scale", 0.03, 3.0, logarithmic=True),
    Form(
        "cauchy",
        "regression",
        _cauchy,
        "scale",
        0.03,
        10.0,
        logarithmic=True,
        about="log(1 + (error/scale)^2)",
    ),
)
