"""A fresh learner has the parts that its variant names, and settings that do not fit are told."""

import pytest
import torch

from lossforge.errors import ConfigurationError, UnknownNameError
from lossforge.methods.npbml import VARIANTS, FewShot, make_learner
from lossforge.methods.npbml.networks import backbone_parameters
from lossforge.tasks.episodes import EpisodeSpec
from lossforge.tasks.few_shot_sets import load_few_shot
from methods.npbml.few_shot_cases import SHAPE, fresh, made, vectors_task


def features(learner, weights, episode) -> torch.Tensor:
    return learner.embed(weights, episode.query).detach()


def test_anil_adapts_the_head_alone():
    learner, episode = made("anil")
    begun, ended = learner.begin(episode).parameters, learner.inner_loop(episode).parameters
    assert len(begun) == 2
    assert all(not torch.equal(a, b) for a, b in zip(begun, ended, strict=True))
    assert torch.equal(features(learner, begun, episode), features(learner, ended, episode))


@pytest.mark.parametrize("network", ["dense", "conv4"])
def test_boil_adapts_the_encoder_alone(network):
    learner, episode = made("boil", network)
    begun, ended = learner.begin(episode).parameters, learner.inner_loop(episode).parameters
    assert len(begun) == len(learner.adapted.body) > 0
    assert any(not torch.equal(a, b) for a, b in zip(begun, ended, strict=True))
    assert not torch.allclose(features(learner, begun, episode), features(learner, ended, episode))


def test_the_head_of_boil_tells_ways_apart_where_others_share_one_vector():
    labels = torch.arange(3)
    rows = {name: made(name)[0].head.begin(None, labels)[0] for name in ("boil", "maml")}
    assert (rows["boil"][0] - rows["boil"][1]).abs().max() > 0.1
    assert torch.equal(rows["maml"][0], rows["maml"][1])


def test_metal_with_alfa_has_both():
    learner, _ = made("metal_alfa")
    assert type(learner.loss) is type(made("metal")[0].loss)
    assert type(learner.rule) is type(made("alfa")[0].rule)


@pytest.mark.parametrize("variant", [v for v, (_, parts) in VARIANTS.items() if parts is None])
def test_what_classifies_refuses_regression(variant):
    with pytest.raises(ConfigurationError, match=f"{variant} classifies; sinusoids is regression"):
        make_learner(FewShot(variant), load_few_shot("sinusoids"), EpisodeSpec(1, 5, 5), 0)


def test_the_relation_network_needs_classes():
    settings = FewShot("npbml", network="dense", task_encoder="relation")
    with pytest.raises(ConfigurationError, match="leave out --task-encoder"):
        make_learner(settings, load_few_shot("sinusoids"), EpisodeSpec(1, 5, 5), 0)


def test_prototypes_need_classes_and_a_head_that_adapts():
    settings = FewShot("npbml", network="dense", head_init="prototypes")
    with pytest.raises(ConfigurationError, match="leave out --head-init"):
        make_learner(settings, load_few_shot("sinusoids"), EpisodeSpec(1, 5, 5), 0)
    with pytest.raises(ConfigurationError, match="boil does not adapt to a task: leave out"):
        fresh("boil", head_init="prototypes")


@pytest.mark.parametrize("network", ["dense", "conv4", "resnet12"])
def test_methods_of_one_seed_begin_with_one_backbone(network):
    """Whether they have warp layers and FiLM or not."""
    encoders = [fresh(name, network)[0].encoder for name in VARIANTS]
    first, *others = (list(backbone_parameters(encoder)) for encoder in encoders)
    for weights in others:
        assert all(torch.equal(a, b) for a, b in zip(first, weights, strict=True))
    heads = [fresh(name, network)[0].head.weight for name in ("npbml", "maml")]
    assert torch.equal(*heads)


def test_networks_that_do_not_fit_are_told():
    with pytest.raises(UnknownNameError, match="conv4"):
        make_learner(FewShot(network="conv5"), load_few_shot("clusters"), SHAPE, 0)
    with pytest.raises(ConfigurationError, match="--network dense"):
        make_learner(FewShot(network="conv4"), load_few_shot("clusters"), SHAPE, 0)


def test_the_seed_draws_the_learner_and_leaves_the_global_generator():
    before = torch.get_rng_state()
    one, two, other = (
        make_learner(FewShot("maml", network="dense"), vectors_task(), SHAPE, seed).state_dict()
        for seed in (3, 3, 4)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(before, torch.get_rng_state())


def test_the_probe_tells_all_classes_of_meta_training_apart():
    learner, _ = made("linear_probe")
    assert learner.classifier.out_features == len(vectors_task().pools["train"].names) > SHAPE.ways
