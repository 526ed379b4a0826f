"""Hyper-parameters of few-shot learning; the defaults are those of NPBML's paper.

Source: Raymond et al., "Meta-Learning Neural Procedural Biases" (arXiv 2406.07983); thesis, ch. 7.
All methods share encoder, data and budget, so that a table of them compares what they learn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, final, get_args

from lossforge.errors import unknown_name
from lossforge.methods.npbml.base import Order
from lossforge.methods.npbml.course import FewShotResult, MetaCourse
from lossforge.methods.npbml.learner import HeadInit
from lossforge.methods.npbml.loss import Similarity
from lossforge.methods.npbml.variants import VARIANTS
from lossforge.progress import ProgressReporter
from lossforge.tasks.episodes import EpisodeSpec, FewShotTask
from lossforge.training import Stacking
from lossforge.training.optimizers import SGD
from lossforge.validation import require, require_in_range

TaskEncoder = Literal["mean", "relation"]

GREATEST_RATE = 1e30
"""a step size that no weight survives, and that float32 still holds"""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "quick": {
        "width": 32,
        "unlabelled": 25,
        "meta_batch": 2,
        "meta_steps": 300,
        "pretrain_steps": 300,
        "check_every": 100,
        "valid_tasks": 100,
    },
}


@final
@dataclass(frozen=True)
class FewShot:
    """Meta-learning for few-shot tasks; the defaults are the paper's.

    Examples:
        >>> from lossforge.tasks.few_shot_sets import load_few_shot
        >>> maml = FewShot("maml", meta_steps=2, valid_tasks=2, test_tasks=4)
        >>> found = maml.run(load_few_shot("sinusoids"), EpisodeSpec(ways=1, shots=5), seed=0)
        >>> found.metric, found.score > 0
        ('mse', True)
    """

    variant: str = "npbml"
    """method, by its name in `lossforge fewshot --help`"""
    network: str = "auto"
    """encoder: conv4, resnet12 or dense; auto is conv4 for images, else dense"""
    width: int = 0
    """channels or features of the encoder's first layer; 0 for those of the papers"""
    inner_steps: int = 5
    """gradient steps in which the learner adapts to a task"""
    inner_rate: float = 0.01
    """learning rate of the inner steps"""
    inner_momentum: float = 0.9
    """Nesterov momentum of the inner steps"""
    inner_weight_decay: float = 5e-4
    """L2 penalty of the inner steps"""
    unlabelled: int = 0
    """query examples that the transductive loss uses in the inner steps; 0 for all, as in the
    paper"""
    similarity: Similarity = "cosine"
    """similarity of a query example to a class, for the transductive loss: cosine of the angle to
    the class's mean features, or distance (minus the squared distance, as in the released code);
    both with a learned temperature"""
    task_encoder: TaskEncoder = "mean"
    """what FiLM sees of a task: mean (of the features that it modulates), or the vector that a
    relation network makes of all pairs of support rows"""
    head_init: HeadInit = "shared"
    """what the classes of the last layer begin from in a task: shared (one meta-learned vector, the
    same for all), or prototypes (the mean features of their support examples, as in Proto-MAML)"""
    adapt_blocks: tuple[int, ...] = ()
    """blocks of the encoder that adapt to a task, counted from 1; by default all"""
    order: Order = "second"
    """how to differentiate through the inner steps: second holds all of them in memory, recompute
    one at a time, first takes their gradients as constant"""
    stacking: Stacking = "auto"
    """adapt to the tasks of a meta-step as one stacked network, separately, or as was measured to
    be faster; stacked holds the inner steps of all tasks in memory"""
    meta_steps: int = 60_000
    """meta-training steps"""
    meta_batch: int = 4
    """tasks in a meta-training step"""
    meta_rate: float = 1e-3
    """learning rate of meta-training (Adam) at the start"""
    final_meta_rate: float = 1e-5
    """learning rate of meta-training at the end of its cosine schedule"""
    meta_clip_norm: float = 10.0
    """largest norm of the meta-gradient; 0 for no limit"""
    pretrain_steps: int = 2000
    """steps that train the encoder to classify all meta-training classes, before meta-training;
    every check_every steps it is judged by prototypes, and the best is gone on with"""
    check_every: int = 500
    """meta-training steps between evaluations on meta-validation tasks"""
    valid_tasks: int = 200
    """meta-validation tasks in an evaluation; the learner that did best on them is tested"""
    test_tasks: int = 600
    """meta-test tasks"""

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise unknown_name("few-shot method", self.variant, VARIANTS)
        for name in ("inner_steps", "meta_steps", "meta_batch", "check_every", "valid_tasks"):
            require_in_range(name, getattr(self, name), 1)
        require_in_range("test_tasks", self.test_tasks, 2)
        for name in ("width", "unlabelled", "pretrain_steps", "final_meta_rate", "meta_clip_norm"):
            require_in_range(name, getattr(self, name), 0)
        require_in_range("meta_rate", self.meta_rate, 0, exclude_low=True)
        for name in ("inner_rate", "meta_rate", "final_meta_rate"):
            require_in_range(name, getattr(self, name), 0, GREATEST_RATE)
        require(
            self.stacking in get_args(Stacking),
            f"stacking must be auto, stacked or separate, not {self.stacking!r}",
        )
        require(
            self.stacking != "stacked" or self.order != "recompute",
            "recompute takes one task at a time; choose another order or stacking",
        )
        require(
            self.similarity in get_args(Similarity),
            f"similarity must be cosine or distance, not {self.similarity!r}",
        )
        require(
            self.order in ("second", "recompute", "first"),
            f"order must be second, recompute or first, not {self.order!r}",
        )
        require(
            self.task_encoder in get_args(TaskEncoder),
            f"task_encoder must be mean or relation, not {self.task_encoder!r}",
        )
        require(
            self.head_init in get_args(HeadInit),
            f"head_init must be shared or prototypes, not {self.head_init!r}",
        )
        for block in self.adapt_blocks:
            require_in_range("adapt_blocks", block, 1)
        components = VARIANTS[self.variant][1]
        require(
            not (components is not None and components.learns_loss and self.order == "first"),
            f"{self.variant} learns a loss, which first order gives no gradient; pass --order "
            "second or recompute",
        )
        self.inner_optimizer()

    @classmethod
    def preset(cls, name: str, variant: str = "npbml") -> Self:
        """Return a variant with a preset's hyper-parameters."""
        if name not in PRESETS:
            raise unknown_name("preset", name, PRESETS)
        return cls(variant=variant, **PRESETS[name])

    def settings(self) -> dict[str, Any]:
        """Return the hyper-parameters as plain data."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def encoder_for(self, task: FewShotTask) -> str:
        """Return the name of the encoder."""
        if self.network != "auto":
            return self.network
        return "conv4" if len(task.input_shape) == 3 else "dense"

    def inner_optimizer(self) -> SGD:
        """Return the rule of the inner loop."""
        momentum = self.inner_momentum
        return SGD(self.inner_rate, momentum, momentum > 0, self.inner_weight_decay)

    def run(
        self, task: FewShotTask, shape: EpisodeSpec, seed: int = 0, *, progress: bool = True
    ) -> "FewShotResult":
        """Meta-train, choose by meta-validation, meta-test.

        Args:
            task: where episodes come from.
            shape: of every episode.
            seed: the same seed gives the same result on the same machine.
            progress: show progress on standard error.
        """
        course = MetaCourse(self, task, shape, seed)
        title = f"{self.variant} on {task.name}, seed {seed}"
        with ProgressReporter(title, shown=progress) as reporter:
            while not course.is_over:
                course.advance(reporter.progress)
            return course.conclude(reporter.progress)
