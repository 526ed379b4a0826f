"""Few-shot learning with what is meta-learned: NPBML, MAML and what lies between."""

from lossforge.methods.npbml.few_shot import (
    PRESETS,
    VARIANTS,
    FewShot,
    FewShotResult,
    MetaCourse,
)
from lossforge.methods.npbml.learner import Components, Learner
from lossforge.methods.npbml.protonet import ProtoNet

__all__ = [
    "PRESETS",
    "VARIANTS",
    "Components",
    "FewShot",
    "FewShotResult",
    "Learner",
    "MetaCourse",
    "ProtoNet",
]
