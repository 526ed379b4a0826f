"""NPBML and its relatives: one code with parts switched on and off.

Source: Raymond et al., "Meta-Learning Neural Procedural Biases" (arXiv 2406.07983); thesis, ch. 7.
MAML (Finn et al. 2017), its first-order form, Meta-SGD (Li et al. 2017) and warped MAML (Flennerhag
et al. 2020) are what is left when parts are off. The head is the same for all.
"""

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from statistics import fmean, stdev
from typing import Any, Self, final, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.errors import DivergedError, unknown_name
from lossforge.methods.npbml.learner import Components, Learner, Order
from lossforge.methods.npbml.loss import Similarity
from lossforge.methods.npbml.networks import backbone_parameters, make_encoder
from lossforge.methods.npbml.protonet import ProtoNet
from lossforge.progress import ProgressReporter
from lossforge.randomness import derive_seed, isolated_seed, torch_generator
from lossforge.tasks.episodes import ClassPool, Episode, EpisodeSpec, FewShotTask, Part
from lossforge.training import Stacking
from lossforge.training.optimizers import SGD
from lossforge.validation import require, require_in_range

Progress = Callable[[str, int, int], None]

GREATEST_RATE = 1e30
"""a step size that no weight survives, and that float32 still holds"""

NOTHING = Components(
    warp=False, film=False, rates=False, inductive=False, transductive=False, penalty=False
)

VARIANTS: dict[str, tuple[str, Components | None]] = {
    "npbml": ("initialization, preconditioner, loss and modulation, all learned", Components()),
    "maml": ("the initialization alone", NOTHING),
    "fomaml": ("MAML with inner gradients taken as constant", NOTHING),
    "metasgd": ("MAML with a step size for each weight", replace(NOTHING, rates=True)),
    "warp_maml": ("MAML with warp layers", replace(NOTHING, warp=True)),
    "maml_inductive": (
        "MAML with a loss of labelled predictions",
        replace(NOTHING, inductive=True),
    ),
    "maml_transductive": (
        "MAML with a loss of unlabelled predictions",
        replace(NOTHING, transductive=True),
    ),
    "maml_penalty": ("MAML with a learned penalty of weights", replace(NOTHING, penalty=True)),
    "npbml_without_film": (
        "NPBML without modulation by the task",
        replace(Components(), film=False),
    ),
    "protonet": ("prototypical networks, which do not adapt: the control", None),
}
"""what each learns, and which parts are on"""

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
    """which parts are on: npbml, maml, fomaml, metasgd, warp_maml, maml_inductive,
    maml_transductive, maml_penalty, npbml_without_film or protonet"""
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
    """steps that train the encoder to classify all meta-training classes, before meta-training"""
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
        parts = VARIANTS[self.variant][1]
        learns_loss = parts is not None and (parts.inductive or parts.transductive or parts.penalty)
        require(
            not (learns_loss and self.order == "first"),
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


@final
@dataclass(frozen=True)
class FewShotResult:
    """What a meta-learning gives back.

    Attributes:
        learner: the one that did best on meta-validation tasks.
        metric: "accuracy", in percent, or "mse".
        score: its mean over the meta-test tasks.
        interval: half of the 95 % interval of that mean.
        valid: the mean over the meta-validation tasks.
    """

    learner: nn.Module
    metric: str
    score: float
    interval: float
    valid: float


@final
class MetaCourse:
    """A meta-training in stretches of `check_every` steps, each ending with a look.

    Args:
        settings: of the method.
        task: where episodes come from.
        shape: of every episode.
        seed: of everything.
    """

    def __init__(self, settings: FewShot, task: FewShotTask, shape: EpisodeSpec, seed: int):
        task.check(shape)
        require(
            settings.variant != "protonet" or task.kind.predicts_probabilities,
            "protonet classifies; sinusoids are regression",
        )
        self.settings, self.task, self.shape = settings, task, shape
        self._seed = seed
        learner = make_learner(settings, task, shape, derive_seed(seed, "learner"))
        self.learner = learner.to(next(iter(task.pools.values())).device)
        self._adam = torch.optim.Adam(self.learner.parameters(), settings.meta_rate)
        self._episodes = torch_generator(seed, "episodes")
        self.done = 0
        self.curve: list[tuple[int, float]] = []
        self._best: dict[str, Tensor] = {}
        self._pretrained = False

    @property
    def is_over(self) -> bool:
        """Whether all meta-steps are taken."""
        return self.done >= self.settings.meta_steps

    def advance(self, progress: Progress | None = None) -> None:
        """Take the meta-steps up to the next look at meta-validation tasks, and look.

        Raises:
            DivergedError: the outer loss, its gradient or an adapted network is not finite.
        """
        if not self._pretrained:
            pretrain(self.learner, self.settings, self.task, self._seed, progress)
            self._pretrained = True
        end = min(self.done + self.settings.check_every, self.settings.meta_steps)
        while self.done < end:
            self._step()
            self.done += 1
            if progress is not None:
                progress("meta-training", self.done, self.settings.meta_steps)
        score = fmean(self._scores("valid", self.settings.valid_tasks, None))
        better = max if self.task.kind.predicts_probabilities else min
        if not self.curve or better(score, *(s for _, s in self.curve)) == score:
            state = self.learner.state_dict()
            self._best = {key: value.detach().clone() for key, value in state.items()}
        self.curve.append((self.done, score))

    def _step(self) -> None:
        settings = self.settings
        ratio = settings.final_meta_rate / settings.meta_rate
        falling = 0.5 * (1 + math.cos(math.pi * self.done / settings.meta_steps))
        self._adam.param_groups[0]["lr"] = settings.meta_rate * (ratio + (1 - ratio) * falling)
        self._adam.zero_grad()
        order: Order = "first" if settings.variant == "fomaml" else settings.order
        draw = self.task.pools["train"].draw
        episodes = [draw(self.shape, self._episodes) for _ in range(settings.meta_batch)]
        if isinstance(self.learner, Learner) and self._is_stacked(self.learner):
            value = self.learner.accumulate_stacked(episodes, order)
        else:
            share = 1 / len(episodes)
            value = fmean(
                self.learner.accumulate(episode, order, share)  # type: ignore[operator]
                for episode in episodes
            )
        limit = settings.meta_clip_norm or math.inf
        norm = float(nn.utils.clip_grad_norm_(self.learner.parameters(), limit))
        for name, number in (("outer loss", value), ("meta-gradient", norm)):
            if not math.isfinite(number):
                raise DivergedError(
                    f"{settings.variant} diverged at meta-step {self.done + 1}: the {name} is "
                    f"{number}; lower --inner-rate ({settings.inner_rate:g}) or --meta-rate "
                    f"({settings.meta_rate:g})"
                )
        self._adam.step()

    def _is_stacked(self, learner: Learner) -> bool:
        """Return whether tasks are adapted to as one; see benchmarks/fewshot.py."""
        settings = self.settings
        if settings.stacking != "auto":
            return settings.stacking == "stacked"
        if settings.order == "recompute" or settings.meta_batch == 1:
            return False
        if learner.head.device.type != "cpu":
            return True
        # On a CPU it halves the time of many small operations, but hardly helps convolutions.
        return settings.encoder_for(self.task) == "dense"

    def conclude(self, progress: Progress | None = None) -> FewShotResult:
        """Test the learner that did best on meta-validation tasks, once.

        Raises:
            DivergedError: adapted to some meta-test task, it is not finite.
        """
        self.learner.load_state_dict(self._best)
        scores = self._scores("test", self.settings.test_tasks, progress)
        better = max if self.task.kind.predicts_probabilities else min
        return FewShotResult(
            self.learner,
            self.task.metric,
            fmean(scores),
            1.96 * stdev(scores) / math.sqrt(len(scores)),
            better(score for _, score in self.curve),
        )

    def _scores(self, part: Part, count: int, progress: Progress | None) -> list[float]:
        """Return the metric on tasks that are the same at every look."""
        generator = torch_generator(self._seed, part)
        scores = []
        for index in range(count):
            episode = self.task.pools[part].draw(self.shape, generator)
            score = score_of(self.learner, episode, self.task)
            if not math.isfinite(score):
                raise DivergedError(
                    f"{self.settings.variant} diverged while it adapted to meta-{part} task "
                    f"{index + 1}: outputs are not finite; lower --inner-rate "
                    f"({self.settings.inner_rate:g}) or --meta-rate ({self.settings.meta_rate:g})"
                )
            scores.append(score)
            if progress is not None:
                progress("meta-testing", index + 1, count)
        return scores

    def state(self) -> bytes:
        """Return what `restore` goes on from."""
        stream = io.BytesIO()
        torch.save(
            {
                "learner": self.learner.state_dict(),
                "adam": self._adam.state_dict(),
                "episodes": self._episodes.get_state(),
                "done": self.done,
                "curve": self.curve,
                "best": self._best,
            },
            stream,
        )
        return stream.getvalue()

    def restore(self, content: bytes) -> None:
        """Go on from where `state` was taken."""
        state = torch.load(io.BytesIO(content), weights_only=True)
        self.learner.load_state_dict(state["learner"])
        self._adam.load_state_dict(state["adam"])
        self._episodes.set_state(state["episodes"])
        self.done = state["done"]
        self.curve = [(int(step), float(score)) for step, score in state["curve"]]
        self._best = state["best"]
        self._pretrained = True


def make_learner(settings: FewShot, task: FewShotTask, shape: EpisodeSpec, seed: int) -> nn.Module:
    """Return a fresh learner, drawn by the seed."""
    parts = VARIANTS[settings.variant][1] or NOTHING
    with isolated_seed(seed):
        encoder = make_encoder(
            settings.encoder_for(task),
            task.input_shape,
            settings.width,
            warp=parts.warp,
            film=parts.warp and parts.film,
        )
        if task.kind.predicts_probabilities and len(task.input_shape) == 3:
            encoder = encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if settings.variant == "protonet":
            return ProtoNet(encoder)
        with torch.no_grad():
            features = encoder(torch.zeros(2, *task.input_shape)).shape[1]
        optimizer, steps = settings.inner_optimizer(), settings.inner_steps
        return Learner(
            encoder,
            features,
            task.kind,
            shape.ways,
            parts,
            optimizer,
            steps,
            settings.unlabelled,
            settings.similarity,
        )


def score_of(learner: nn.Module, episode: Episode, task: FewShotTask) -> float:
    """Return the accuracy in percent, or the squared error, on an episode's query set.

    It is NaN where an output is not finite: the largest of NaNs would count as the first class.
    """
    with torch.no_grad():
        outputs: Tensor = learner.predict(episode)  # type: ignore[operator]
    if not bool(outputs.isfinite().all()):
        return math.nan
    if task.kind.predicts_probabilities:
        return float((outputs.argmax(1) == episode.query_targets).double().mean()) * 100
    return float((outputs - episode.query_targets).square().mean())


def pretrain(
    learner: nn.Module,
    settings: FewShot,
    task: FewShotTask,
    seed: int,
    progress: Progress | None,
) -> None:
    """Train the encoder to tell all meta-training classes apart; the head is thrown away.

    Warp layers and FiLM stay the identity that they begin as: rows of many classes at a time say
    nothing of how a task of a few rows is to be modulated.

    Raises:
        DivergedError: the encoder's weights are no longer finite.
    """
    pool = task.pools["train"]
    if settings.pretrain_steps == 0 or not isinstance(pool, ClassPool):
        return
    encoder: nn.Module = learner.encoder  # type: ignore[assignment]
    draw = torch_generator(seed, "pretraining")
    labels = pool.labels()
    with isolated_seed(derive_seed(seed, "pretraining head")):
        features = encoder(pool.inputs[:2]).shape[1]
        head = nn.Linear(features, len(pool.names)).to(pool.inputs.device)
    trained = [*backbone_parameters(encoder), *head.parameters()]
    adam = torch.optim.Adam(trained, settings.meta_rate)
    for step in range(settings.pretrain_steps):
        rows = torch.randint(len(labels), (64,), generator=draw).to(labels.device)
        adam.zero_grad()
        F.cross_entropy(head(encoder(pool.inputs[rows])), labels[rows]).backward()
        adam.step()
        if progress is not None:
            progress("pre-training", step + 1, settings.pretrain_steps)
    if not all(bool(weight.isfinite().all()) for weight in encoder.parameters()):
        raise DivergedError(
            f"{settings.variant} diverged in pre-training; lower --meta-rate "
            f"({settings.meta_rate:g}) or pass --pretrain-steps 0"
        )
