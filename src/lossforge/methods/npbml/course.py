"""Meta-training, meta-validation and meta-test of a few-shot learner."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, stdev
from time import perf_counter
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn

from lossforge.errors import DivergedError
from lossforge.methods.npbml.assembly import make_learner
from lossforge.methods.npbml.base import EpisodicLearner, FewShotLearner, Order
from lossforge.methods.npbml.learner import Learner
from lossforge.methods.npbml.linear_probe import LinearProbe
from lossforge.methods.npbml.pretraining import pretrain
from lossforge.methods.npbml.scoring import score_of
from lossforge.randomness import derive_seed, torch_generator
from lossforge.tasks.episodes import ClassPool, EpisodeSpec, FewShotTask, Part
from lossforge.tensor_files import load_tensors

if TYPE_CHECKING:
    from lossforge.methods.npbml.few_shot import FewShot

Progress = Callable[[str, int, int], None]


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
        step_seconds: mean time of a meta-step.
        scores: the metric on each meta-test task; methods of one seed have the same tasks.
        curve: meta-steps, the metric on meta-validation tasks and the seconds of learning until
            then, pre-training included, for each evaluation.
    """

    learner: FewShotLearner
    metric: str
    score: float
    interval: float
    valid: float
    step_seconds: float
    scores: tuple[float, ...]
    curve: tuple[tuple[int, float, float], ...]


@final
class MetaCourse:
    """A meta-training in stretches of `check_every` steps, each ending with an evaluation.

    Args:
        settings: of the method.
        task: where episodes come from.
        shape: of every episode.
        seed: of everything.
    """

    def __init__(self, settings: "FewShot", task: FewShotTask, shape: EpisodeSpec, seed: int):
        task.check(shape)
        self.settings, self.task, self.shape = settings, task, shape
        self._seed = seed
        learner = make_learner(settings, task, shape, derive_seed(seed, "learner"))
        self.learner = learner.to(next(iter(task.pools.values())).device)
        self._adam = torch.optim.Adam(self.learner.parameters(), settings.meta_rate)
        self._episodes = torch_generator(seed, "episodes")
        self._rows = torch_generator(seed, "rows")
        self.done, self._seconds, self._pretraining_seconds = 0, 0.0, 0.0
        self.curve: list[tuple[int, float]] = []
        self.times: list[float] = []
        self._best: dict[str, Tensor] = {}
        self._pretrained = False

    @property
    def is_over(self) -> bool:
        """Whether all meta-steps are taken."""
        return self.done >= self.settings.meta_steps

    def advance(self, progress: Progress | None = None) -> None:
        """Take the meta-steps up to the next evaluation on meta-validation tasks, and evaluate.

        Raises:
            DivergedError: the outer loss, its gradient or an adapted network is not finite.
        """
        if not self._pretrained:
            begun = perf_counter()
            pretrain(self.learner, self.settings, self.task, self.shape, self._seed, progress)
            self._pretraining_seconds = perf_counter() - begun
            self._pretrained = True
        end = min(self.done + self.settings.check_every, self.settings.meta_steps)
        while self.done < end:
            begun = perf_counter()
            self._step()
            self._seconds += perf_counter() - begun
            self.done += 1
            if progress is not None:
                progress("meta-training", self.done, self.settings.meta_steps)
        score = fmean(self._scores("valid", self.settings.valid_tasks, None))
        better = max if self.task.kind.predicts_probabilities else min
        if not self.curve or better(score, *(s for _, s in self.curve)) == score:
            state = self.learner.state_dict()
            self._best = {key: value.detach().clone() for key, value in state.items()}
        self.curve.append((self.done, score))
        self.times.append(self._pretraining_seconds + self._seconds)

    def _step(self) -> None:
        settings = self.settings
        ratio = settings.final_meta_rate / settings.meta_rate
        falling = 0.5 * (1 + math.cos(math.pi * self.done / settings.meta_steps))
        self._adam.param_groups[0]["lr"] = settings.meta_rate * (ratio + (1 - ratio) * falling)
        self._adam.zero_grad()
        value = self._accumulate()
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

    def _accumulate(self) -> float:
        """Add the meta-gradient of a step to `grad`, and return the outer loss."""
        learner, settings = self.learner, self.settings
        if isinstance(learner, LinearProbe):
            return learner.accumulate_rows(*self._draw_rows())
        draw = self.task.pools["train"].draw
        episodes = [draw(self.shape, self._episodes) for _ in range(settings.meta_batch)]
        order: Order = "first" if settings.variant == "fomaml" else settings.order
        progress = self.done / settings.meta_steps
        if isinstance(learner, Learner) and self._is_stacked(learner):
            return learner.accumulate_stacked(episodes, order, progress)
        assert isinstance(learner, EpisodicLearner)
        share = 1 / len(episodes)
        return fmean(learner.accumulate(each, order, share, progress) for each in episodes)

    def _draw_rows(self) -> tuple[Tensor, Tensor]:
        """Return as many rows of meta-training classes as a step's episodes have, and labels."""
        pool, shape = self.task.pools["train"], self.shape
        assert isinstance(pool, ClassPool)
        count = self.settings.meta_batch * shape.ways * (shape.shots + shape.queries)
        labels = pool.labels()
        rows = torch.randint(len(labels), (count,), generator=self._rows).to(labels.device)
        return pool.inputs[rows], labels[rows]

    def _is_stacked(self, learner: Learner) -> bool:
        """Return whether tasks are adapted to as one; see benchmarks/fewshot.py."""
        settings = self.settings
        if settings.stacking != "auto":
            return settings.stacking == "stacked"
        if settings.order == "recompute" or settings.meta_batch == 1:
            return False
        if next(learner.parameters()).device.type != "cpu":
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
            self._seconds / max(1, self.done),
            tuple(scores),
            tuple((*each, time) for each, time in zip(self.curve, self.times, strict=True)),
        )

    def _scores(self, part: Part, count: int, progress: Progress | None) -> list[float]:
        """Return the metric on tasks that are the same at every evaluation."""
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
                "rows": self._rows.get_state(),
                "seconds": self._seconds,
                "done": self.done,
                "pretraining_seconds": self._pretraining_seconds,
                "curve": self.curve,
                "times": self.times,
                "best": self._best,
            },
            stream,
        )
        return stream.getvalue()

    def restore(self, content: bytes) -> None:
        """Go on from where `state` was taken."""
        state = load_tensors(content)
        self.learner.load_state_dict(state["learner"])
        self._adam.load_state_dict(state["adam"])
        self._episodes.set_state(state["episodes"])
        self._rows.set_state(state["rows"])
        self.done, self._seconds = state["done"], state["seconds"]
        self.curve = [(int(step), float(score)) for step, score in state["curve"]]
        self.times = [float(time) for time in state["times"]]
        self._pretraining_seconds = state["pretraining_seconds"]
        self._best = state["best"]
        self._pretrained = True
