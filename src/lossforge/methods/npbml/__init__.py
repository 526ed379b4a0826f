"""Few-shot learning with what is meta-learned: NPBML, its relatives and its rivals."""

from lossforge.methods.npbml.assembly import make_learner
from lossforge.methods.npbml.base import FewShotLearner
from lossforge.methods.npbml.course import FewShotResult, MetaCourse
from lossforge.methods.npbml.few_shot import PRESETS, FewShot
from lossforge.methods.npbml.learner import Learner
from lossforge.methods.npbml.protonet import ProtoNet
from lossforge.methods.npbml.variants import VARIANTS, Components

__all__ = [
    "PRESETS",
    "VARIANTS",
    "Components",
    "FewShot",
    "FewShotLearner",
    "FewShotResult",
    "Learner",
    "MetaCourse",
    "ProtoNet",
    "make_learner",
]
