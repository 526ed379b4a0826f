"""Meta-learning as a whole: it learns, resumes exactly, and says what does not fit."""

import dataclasses

import pytest
import torch

from lossforge.errors import ConfigurationError, DivergedError, UnknownNameError
from lossforge.methods.npbml import PRESETS, VARIANTS, FewShot, MetaCourse, make_learner
from lossforge.methods.npbml.pretraining import pretrain
from lossforge.tasks.episodes import EpisodeSpec, FewShotTask
from lossforge.tasks.few_shot_sets import characters_task, load_few_shot

SHAPE = EpisodeSpec(ways=3, shots=1, queries=3)
TINY = {
    "network": "dense",
    "width": 6,
    "meta_steps": 4,
    "meta_batch": 2,
    "pretrain_steps": 2,
    "check_every": 2,
    "valid_tasks": 3,
    "test_tasks": 5,
}


def images_task() -> FewShotTask:
    draw = torch.Generator().manual_seed(0)
    rows = {f"class {i:02d}": torch.randn(6, 1, 16, 16, generator=draw) for i in range(20)}
    return characters_task("toy", rows, 0, rotations=False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_runs_and_is_repeatable(variant):
    task = load_few_shot("clusters")
    found, again = (FewShot(variant, **TINY).run(task, SHAPE, seed=3) for _ in range(2))
    assert (found.score, found.interval) == (again.score, again.interval)
    assert 0 <= found.score <= 100
    assert found.metric == "accuracy"


def test_meta_training_learns_what_to_ignore():
    task = load_few_shot("clusters")
    settings = dataclasses.replace(
        FewShot("maml", **TINY), width=32, meta_steps=150, check_every=50, inner_rate=0.05,
        pretrain_steps=0, valid_tasks=40, test_tasks=200, final_meta_rate=1e-3,
    )  # fmt: skip
    shape = EpisodeSpec(ways=5, shots=1, queries=5)
    untrained = dataclasses.replace(settings, meta_steps=1, meta_rate=1e-9, final_meta_rate=0)
    before, after = (each.run(task, shape, seed=0) for each in (untrained, settings))
    assert after.score > before.score + 3 * (after.interval + before.interval)


@pytest.mark.parametrize("name", ["clusters", "images"])
def test_pretraining_leaves_warp_layers_and_film_as_they_begin(name):
    task = images_task() if name == "images" else load_few_shot(name)
    settings = FewShot("npbml", **(TINY | {"network": "auto"}))
    learner = make_learner(settings, task, SHAPE, 0)
    before = {n: w.clone() for n, w in learner.encoder.named_parameters()}
    pretrain(learner, settings, task, SHAPE, 0, None)
    for n, weight in learner.encoder.named_parameters():
        stays = "generator" in n or ".layer." in n
        assert torch.equal(weight, before[n]) is stays, n


def test_label_permutation_leaves_the_accuracy_distribution_unchanged():
    task = load_few_shot("clusters")
    found = FewShot("npbml", **(TINY | {"meta_steps": 6, "test_tasks": 2})).run(task, SHAPE, 0)
    draw, deal = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    plain, renamed = [], []
    for _ in range(50):
        episode = task.pools["test"].draw(SHAPE, draw)
        order = torch.randperm(3, generator=deal)
        other = dataclasses.replace(
            episode,
            support_targets=order[episode.support_targets],
            query_targets=order[episode.query_targets],
        )
        for scores, each in ((plain, episode), (renamed, other)):
            right = found.learner.predict(each).argmax(1) == each.query_targets
            scores.append(right.double().mean())
    one, two = torch.stack(plain), torch.stack(renamed)
    difference = (one - two).mean().abs()
    assert difference < 3 * ((one - two).std() / 50**0.5) + 1e-9


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"variant": "npbml", "order": "first"}, "learns a loss, which first order"),
        ({"inner_rate": 0.0}, "learning_rate must be above 0"),
        ({"inner_rate": 1e39}, "inner_rate"),
        ({"meta_rate": 1e39}, "meta_rate"),
        ({"meta_steps": 0}, "meta_steps"),
        ({"order": "third"}, "order must be"),
        ({"similarity": "angle"}, "similarity must be cosine or distance"),
        ({"stacking": "piled"}, "stacking must be"),
        ({"stacking": "stacked", "order": "recompute"}, "one task at a time"),
        ({"test_tasks": 1}, "test_tasks"),
    ],
)
def test_settings_out_of_range_are_refused(settings, says):
    with pytest.raises(ConfigurationError, match=says):
        FewShot(**settings)


def test_unknown_names_are_told():
    with pytest.raises(UnknownNameError, match="did you mean 'maml'"):
        FewShot("mamll")
    assert FewShot.preset("quick", "maml").variant == "maml"
    assert set(PRESETS) == {"quick", "paper"}


DIVERGING = {"inner_rate": 1e30, "pretrain_steps": 0}


@pytest.mark.parametrize("stacking", ["stacked", "separate"])
@pytest.mark.parametrize(
    ("name", "shape"), [("clusters", SHAPE), ("sinusoids", EpisodeSpec(1, 5, 5)), ("images", SHAPE)]
)
@pytest.mark.parametrize("variant", ["maml", "npbml"])
def test_divergence_is_not_a_result(variant, name, shape, stacking):
    task = images_task() if name == "images" else load_few_shot(name)
    chosen = TINY | DIVERGING | {"network": "auto", "stacking": stacking}
    with pytest.raises(DivergedError) as caught:
        FewShot(variant, **chosen).run(task, shape)
    told = str(caught.value)
    assert told.startswith(f"{variant} diverged at meta-step 1: the outer loss is ")
    assert "lower --inner-rate (1e+30)" in told
    assert "\n" not in told


def test_protonet_too_can_diverge():
    chosen = TINY | {"meta_rate": 1e30, "meta_clip_norm": 0.0}
    with pytest.raises(DivergedError, match="protonet diverged"):
        FewShot("protonet", **chosen).run(load_few_shot("clusters"), SHAPE)
    with pytest.raises(DivergedError, match="protonet diverged"):
        FewShot("protonet", **(chosen | {"pretrain_steps": 0})).run(
            load_few_shot("clusters"), SHAPE
        )


def test_protonet_does_not_do_regression():
    with pytest.raises(ConfigurationError, match="protonet classifies"):
        MetaCourse(FewShot("protonet", **TINY), load_few_shot("sinusoids"), EpisodeSpec(1, 5, 5), 0)
