"""Cards for tests, made without a run."""

from dataclasses import replace
from typing import Any

from lossforge.losses.zoo import Card, Check, Origin

ORIGIN = Origin(
    method="evomal",
    task="iris",
    model="linear",
    seed=3,
    command="lossforge search evomal --task iris --model linear --seed 3",
    version="0.1.0",
    metric="error_rate",
    rate=0.01,
    test=0.02,
    rival="cross_entropy",
    rival_rate=0.03,
    rival_test=0.04,
)

CHECK = Check(
    task="wine",
    model="linear",
    metric="error_rate",
    steps=10,
    seeds=6,
    rate=0.01,
    test=0.1,
    deviation=0.01,
    rival="cross_entropy",
    rival_rate=0.03,
    rival_test=0.2,
    rival_deviation=0.02,
    difference=-0.1,
    p=0.031,
)

CARD = Card(
    name="evomal-iris",
    kind="classification",
    formula="-y·log|p|",
    origin=ORIGIN,
    checks=(CHECK, replace(CHECK, task="digits", p=None), replace(CHECK, task="iris")),
    check_command="lossforge compare --losses zoo:evomal-iris cross_entropy --task wine digits",
    rate_factor=2.5,
    classes=3,
    findings=(("nearest", "cross_entropy"),),
    warnings=("flat",),
)


def card_with(**changes: Any) -> Card:
    return replace(CARD, **changes)
