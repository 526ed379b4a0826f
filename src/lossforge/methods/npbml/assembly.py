"""From settings to a fresh few-shot learner."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lossforge.errors import ConfigurationError
from lossforge.methods.npbml.alfa import ALFA
from lossforge.methods.npbml.base import FewShotLearner
from lossforge.methods.npbml.inner_rule import InnerRule, SGDRule
from lossforge.methods.npbml.learner import (
    HEAD,
    Adapted,
    Head,
    Learner,
    PrototypeHead,
    VectorHead,
    adapted_names,
)
from lossforge.methods.npbml.linear_probe import LinearProbe
from lossforge.methods.npbml.loss import InnerLoss
from lossforge.methods.npbml.maml_plus_plus import LayerRates
from lossforge.methods.npbml.meta_sgd import MetaSGD
from lossforge.methods.npbml.metal import TaskAdaptiveLoss
from lossforge.methods.npbml.networks import make_encoder
from lossforge.methods.npbml.protonet import ProtoNet
from lossforge.methods.npbml.r2d2 import R2D2
from lossforge.methods.npbml.task_encoder import WIDTH, RelationNetwork
from lossforge.methods.npbml.variants import MAML, VARIANTS, Components
from lossforge.randomness import isolated_seed
from lossforge.tasks.episodes import ClassPool, EpisodeSpec, FewShotTask
from lossforge.tasks.kinds import Kind
from lossforge.training.optimizers import SGD

if TYPE_CHECKING:
    from lossforge.methods.npbml.few_shot import FewShot


def make_learner(
    settings: "FewShot", task: FewShotTask, shape: EpisodeSpec, seed: int
) -> FewShotLearner:
    """Return a fresh learner, drawn by the seed.

    Raises:
        ConfigurationError: settings do not fit the task.
    """
    name, components = settings.variant, VARIANTS[settings.variant][1]
    if not task.kind.predicts_probabilities:
        if components is None:
            raise ConfigurationError(f"{name} classifies; {task.name} is regression")
        if settings.task_encoder == "relation":
            raise ConfigurationError(
                f"the relation network compares classes; {task.name} is regression: leave out "
                "--task-encoder"
            )
        if settings.head_init == "prototypes":
            raise ConfigurationError(
                f"prototypes are of classes; {task.name} is regression: leave out --head-init"
            )
    if settings.head_init == "prototypes" and components and not components.adapts_head:
        raise ConfigurationError(
            f"the last layer of {name} does not adapt to a task: leave out --head-init"
        )
    with isolated_seed(seed):
        encoder = _encoder(settings, task, components or MAML)
        with torch.no_grad():
            features = encoder(torch.zeros(2, *task.input_shape)).shape[1]
        if components is not None:
            return _gradient_based(settings, task.kind, shape.ways, components, encoder, features)
        if name == "protonet":
            return ProtoNet(encoder)
        if name == "r2d2":
            return R2D2(encoder, shape.ways)
        return LinearProbe(encoder, nn.Linear(features, _classes(task)))


def _encoder(settings: "FewShot", task: FewShotTask, components: Components) -> nn.Module:
    film = components.warp and components.film
    encoder = make_encoder(
        settings.encoder_for(task),
        task.input_shape,
        settings.width,
        warp=components.warp,
        film=film,
        task=_task_width(settings, components),
    )
    if task.kind.predicts_probabilities and len(task.input_shape) == 3:
        return encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
    return encoder


def _task_width(settings: "FewShot", components: Components) -> int:
    return WIDTH if components.film and settings.task_encoder == "relation" else 0


def _gradient_based(
    settings: "FewShot",
    kind: Kind,
    ways: int,
    components: Components,
    encoder: nn.Module,
    features: int,
) -> Learner:
    optimizer, steps = settings.inner_optimizer(), settings.inner_steps
    body = adapted_names(encoder, settings.adapt_blocks) if components.adapts_body else ()
    adapted = Adapted(body, components.adapts_head)
    head = _head(settings, ways, components, features)
    weights: list[Tensor] = [encoder.get_parameter(name) for name in body]
    if components.adapts_head:
        weights += [torch.zeros(features), torch.zeros(())]  # shaped like what all ways share
    task = _task_width(settings, components)
    loss: InnerLoss | TaskAdaptiveLoss
    if components.task_adaptive_loss:
        loss = TaskAdaptiveLoss(kind, ways, len(weights), steps)
    else:
        named = dict(zip(adapted.names, weights, strict=True))
        loss = InnerLoss(
            kind,
            ways,
            tuple(name for name, weight in named.items() if weight.dim() > 1 or name == HEAD[0]),
            inductive=components.inductive,
            transductive=components.transductive and kind.predicts_probabilities,
            penalty=components.penalty,
            film=components.film,
            similarity=settings.similarity,
            task=task,
        )
    return Learner(
        encoder,
        head,
        kind,
        adapted,
        loss,
        _rule(components, weights, steps, optimizer),
        optimizer,
        steps,
        unlabelled=settings.unlabelled,
        every_step=components.every_step,
        task_encoder=RelationNetwork(features) if task else None,
    )


def _head(settings: "FewShot", ways: int, components: Components, features: int) -> Head:
    if settings.head_init == "prototypes":
        return PrototypeHead(ways)
    return VectorHead(features, ways, shared=components.adapts_head)


def _rule(components: Components, weights: list[Tensor], steps: int, optimizer: SGD) -> InnerRule:
    match components.rule:
        case "sgd":
            return SGDRule()
        case "meta_sgd":
            return MetaSGD(weights, optimizer.learning_rate)
        case "layer_rates":
            return LayerRates(len(weights), steps, optimizer.learning_rate)
        case "alfa":
            return ALFA(len(weights), steps, optimizer)


def _classes(task: FewShotTask) -> int:
    pool = task.pools["train"]
    if not isinstance(pool, ClassPool):
        raise ConfigurationError(f"linear_probe learns to tell classes apart; {task.name} has none")
    return len(pool.names)
