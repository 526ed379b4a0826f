"""The few-shot methods by name, and the components that each is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, final

Rule = Literal["sgd", "meta_sgd", "layer_rates", "alfa"]
"""how an inner step moves the weights: with one rate, one a weight, one a step and layer, or with
rates and decays that a network gives"""


@final
@dataclass(frozen=True)
class Components:
    """What a gradient-based method adapts to a task, and what it meta-learns for that.

    Attributes:
        warp: warp layers as preconditioner.
        film: modulation of warp layers and of the loss's terms by the task.
        inductive: the loss's term of predictions with targets.
        transductive: the loss's term of predictions without targets.
        penalty: the loss's term of weights.
        task_adaptive_loss: MeTAL's loss instead of these terms.
        rule: how an inner step moves the weights.
        every_step: whether the outer loss is that of all inner steps at first (MAML++).
        adapts_body: whether the encoder adapts to a task.
        adapts_head: whether the head does.
    """

    warp: bool = True
    film: bool = True
    inductive: bool = True
    transductive: bool = True
    penalty: bool = True
    task_adaptive_loss: bool = False
    rule: Rule = "sgd"
    every_step: bool = False
    adapts_body: bool = True
    adapts_head: bool = True

    @property
    def learns_loss(self) -> bool:
        """Whether part of the inner loss is meta-learned."""
        terms = (self.inductive, self.transductive, self.penalty)
        return self.task_adaptive_loss or any(terms)


MAML = Components(warp=False, film=False, inductive=False, transductive=False, penalty=False)

VARIANTS: Mapping[str, tuple[str, Components | None]] = MappingProxyType(
    {
        "npbml": ("initialization, preconditioner, loss and modulation, all learned", Components()),
        "maml": ("the initialization alone", MAML),
        "fomaml": ("MAML with inner gradients taken as constant", MAML),
        "metasgd": ("MAML with a step size for each weight", replace(MAML, rule="meta_sgd")),
        "warp_maml": ("MAML with warp layers", replace(MAML, warp=True)),
        "maml_inductive": (
            "MAML with a loss of labeled predictions",
            replace(MAML, inductive=True),
        ),
        "maml_transductive": (
            "MAML with a loss of unlabeled predictions",
            replace(MAML, transductive=True),
        ),
        "maml_penalty": ("MAML with a learned penalty of weights", replace(MAML, penalty=True)),
        "npbml_without_film": (
            "NPBML without modulation by the task",
            replace(Components(), film=False),
        ),
        "maml_plus_plus": (
            "MAML with a rate for each step and layer, and the outer loss of every step",
            replace(MAML, rule="layer_rates", every_step=True),
        ),
        "anil": ("MAML whose head alone adapts", replace(MAML, adapts_body=False)),
        "boil": ("MAML whose encoder alone adapts", replace(MAML, adapts_head=False)),
        "alfa": ("MAML with rates and decays that a network gives", replace(MAML, rule="alfa")),
        "metal": (
            "MAML with a loss that a network adapts to the task",
            replace(MAML, task_adaptive_loss=True),
        ),
        "metal_alfa": (
            "MeTAL's loss with ALFA's rates and decays",
            replace(MAML, task_adaptive_loss=True, rule="alfa"),
        ),
        "r2d2": ("an encoder for ridge regression, solved in closed form", None),
        "protonet": ("prototypical networks, which do not adapt: the control", None),
        "linear_probe": ("an encoder by plain classification, for logistic regression", None),
    }
)
"""what each learns, and its components; None for those without an inner loop"""
