"""Pre-training of the encoder by plain classification, before meta-training."""

from collections.abc import Callable
from statistics import fmean
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossforge.errors import DivergedError
from lossforge.methods.npbml.base import FewShotLearner
from lossforge.methods.npbml.linear_probe import LinearProbe
from lossforge.methods.npbml.networks import backbone_parameters
from lossforge.methods.npbml.protonet import ProtoNet
from lossforge.methods.npbml.scoring import score_of
from lossforge.randomness import derive_seed, isolated_seed, torch_generator
from lossforge.tasks.episodes import ClassPool, EpisodeSpec, FewShotTask
from lossforge.training.network import channels_last

if TYPE_CHECKING:
    from lossforge.methods.npbml.few_shot import FewShot

ROWS = 64
"""of a step"""

Progress = Callable[[str, int, int], None]


def pretrain(
    learner: FewShotLearner,
    settings: "FewShot",
    task: FewShotTask,
    shape: EpisodeSpec,
    seed: int,
    progress: Progress | None,
) -> None:
    """Train the encoder to tell all meta-training classes apart; the head is thrown away.

    The weights are kept that do best, by distances to prototypes, on meta-validation tasks; as in
    the released code. Warp layers and FiLM stay the identity that they begin as: rows of many
    classes at a time say nothing of how a task of a few rows is to be modulated.

    Raises:
        DivergedError: the encoder's weights are no longer finite.
    """
    pool = task.pools["train"]
    if settings.pretrain_steps == 0 or not isinstance(pool, ClassPool):
        return
    encoder, labels = learner.encoder, pool.labels()
    draw = torch_generator(seed, "pretraining")
    head = _head(learner, pool, seed)
    trained = [*backbone_parameters(encoder), *head.parameters()]
    adam = torch.optim.Adam(trained, settings.meta_rate)
    best, kept = -1.0, dict[str, Tensor]()
    for step in range(1, settings.pretrain_steps + 1):
        rows = torch.randint(len(labels), (ROWS,), generator=draw).to(labels.device)
        adam.zero_grad()
        F.cross_entropy(head(encoder(channels_last(pool.inputs[rows]))), labels[rows]).backward()
        adam.step()
        if progress is not None:
            progress("pre-training", step, settings.pretrain_steps)
        if step % settings.check_every == 0 or step == settings.pretrain_steps:
            _require_finite(encoder, settings)
            score = prototype_accuracy(encoder, settings, task, shape, seed)
            if score > best:
                best, state = score, encoder.state_dict()
                kept = {name: value.detach().clone() for name, value in state.items()}
    encoder.load_state_dict(kept)


def prototype_accuracy(
    encoder: nn.Module, settings: "FewShot", task: FewShotTask, shape: EpisodeSpec, seed: int
) -> float:
    """Return the accuracy of prototypes of an encoder on meta-validation tasks, in percent."""
    draw, network = torch_generator(seed, "pretraining valid"), ProtoNet(encoder)
    pool = task.pools["valid"]
    episodes = (pool.draw(shape, draw) for _ in range(settings.valid_tasks))
    return fmean(score_of(network, episode, task) for episode in episodes)


def _head(learner: FewShotLearner, pool: ClassPool, seed: int) -> nn.Linear:
    """Return the classifier of all meta-training classes."""
    if isinstance(learner, LinearProbe):
        return learner.classifier
    with isolated_seed(derive_seed(seed, "pretraining head")):
        features = learner.encoder(pool.inputs[:2]).shape[1]
        return nn.Linear(features, len(pool.names)).to(pool.inputs.device)


def _require_finite(encoder: nn.Module, settings: "FewShot") -> None:
    if not all(bool(weight.isfinite().all()) for weight in encoder.parameters()):
        raise DivergedError(
            f"{settings.variant} diverged in pre-training; lower --meta-rate "
            f"({settings.meta_rate:g}) or pass --pretrain-steps 0"
        )
