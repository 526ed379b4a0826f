"""Meta-SGD: a rate for each weight, begun as MAML's and moved by a visible factor."""

import pytest
import torch

from lossforge.methods.npbml import FewShot, MetaCourse, make_learner
from lossforge.tasks.episodes import EpisodeSpec
from lossforge.tasks.few_shot_sets import load_few_shot
from methods.npbml.few_shot_cases import SHAPE, made, vectors_task


@pytest.mark.parametrize("network", ["dense", "conv4"])
def test_meta_sgd_begins_as_maml(network):
    rates, episode = made("metasgd", network)
    maml, _ = made("maml", network)
    with torch.no_grad():
        for rate in rates.rule.rates:
            rate.fill_(0.1)
    maml.load_state_dict(
        {name: value for name, value in rates.state_dict().items() if not name.startswith("rule")}
    )
    assert rates.optimizer.momentum > 0
    assert rates.optimizer.weight_decay > 0
    for found, expected in zip(
        rates.begin(episode).parameters, maml.begin(episode).parameters, strict=True
    ):
        assert torch.equal(found, expected)
    for found, expected in zip(
        rates.inner_loop(episode).parameters, maml.inner_loop(episode).parameters, strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_rates_of_meta_sgd_are_the_step_sizes_themselves():
    task = vectors_task()
    learner = make_learner(FewShot("metasgd", inner_rate=0.03), task, SHAPE, 0)
    assert all(bool((rate == torch.tensor(0.03)).all()) for rate in learner.rule.rates)
    assert [rate.shape for rate in learner.rule.rates[-2:]] == [learner.head.weight.shape, ()]
    episode = task.pools["train"].draw(SHAPE, torch.Generator().manual_seed(2))
    with torch.no_grad():
        learner.rule.rates[0].zero_()
    begun, moved = learner.begin(episode).parameters, learner.inner_loop(episode).parameters
    assert torch.equal(begun[0], moved[0])
    assert not torch.equal(begun[1], moved[1])


def test_meta_sgd_moves_its_rates_by_a_visible_factor():
    settings = FewShot(
        "metasgd", network="dense", width=6, meta_steps=30, meta_batch=2, pretrain_steps=2,
        check_every=30, valid_tasks=3, test_tasks=5,
    )  # fmt: skip
    shape = EpisodeSpec(ways=3, shots=1, queries=3)
    course = MetaCourse(settings, load_few_shot("clusters"), shape, 0)
    course.advance()
    factors = torch.cat([rate.detach().flatten() for rate in course.learner.rule.rates])
    factors = factors / settings.inner_rate
    assert factors.std() > 0.3
    assert factors.max() > 2
