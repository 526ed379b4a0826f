"""Small few-shot tasks and learners in double precision, for the tests of this folder."""

from dataclasses import replace

import torch

from lossforge.methods.npbml import FewShot, FewShotLearner, make_learner
from lossforge.tasks.episodes import Episode, EpisodeSpec, FewShotTask
from lossforge.tasks.few_shot_sets import characters_task

SHAPE = EpisodeSpec(ways=3, shots=2, queries=2)


def images_task() -> FewShotTask:
    return _task(1, 16, 16)


def vectors_task() -> FewShotTask:
    return _task(5)


def _task(*shape: int) -> FewShotTask:
    draw = torch.Generator().manual_seed(0)
    rows = {f"class {i:02d}": torch.randn(6, *shape, generator=draw) for i in range(20)}
    return characters_task("toy", rows, 0, rotations=False)


def made(variant: str, network: str = "dense", **settings) -> tuple[FewShotLearner, Episode]:
    """Return a learner away from where its parts begin, and an episode."""
    learner, episode = fresh(variant, network, **settings)
    with torch.no_grad():
        draw = torch.Generator().manual_seed(4)
        for weight in learner.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=draw, dtype=torch.double))
    return learner, episode


def fresh(variant: str, network: str = "dense", **settings) -> tuple[FewShotLearner, Episode]:
    """Return a learner as it begins, and an episode."""
    task = vectors_task() if network == "dense" else images_task()
    chosen = {"width": 4, "inner_steps": 2, "inner_rate": 0.1} | settings
    learner = make_learner(FewShot(variant, network=network, **chosen), task, SHAPE, seed=1)
    episode = drawn(task, 2)
    return learner.double(), episode


def drawn(task: FewShotTask, seed: int) -> Episode:
    episode = task.pools["train"].draw(SHAPE, torch.Generator().manual_seed(seed))
    return replace(episode, support=episode.support.double(), query=episode.query.double())
