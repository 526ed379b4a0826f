"""Meta-learning as a whole: it learns, resumes exactly, and says what does not fit."""

import dataclasses

import pytest
import torch

from lossforge.errors import ConfigurationError, DataError, DivergedError, UnknownNameError
from lossforge.methods.npbml import PRESETS, VARIANTS, FewShot, Learner, MetaCourse, make_learner
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


@pytest.mark.parametrize("variant", ["npbml", "maml", "protonet"])
def test_a_restored_course_ends_as_one_that_was_not_interrupted(variant):
    task = load_few_shot("clusters")
    settings = FewShot(variant, **TINY)
    whole = MetaCourse(settings, task, SHAPE, 5)
    whole.advance()
    saved = whole.state()
    whole.advance()
    resumed = MetaCourse(settings, task, SHAPE, 5)
    resumed.restore(saved)
    resumed.advance()
    assert whole.is_over
    assert resumed.is_over
    assert resumed.curve == whole.curve
    assert resumed.conclude().score == whole.conclude().score


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


def test_meta_sgd_moves_its_rates_by_a_visible_factor():
    settings = FewShot("metasgd", **(TINY | {"meta_steps": 30, "check_every": 30}))
    course = MetaCourse(settings, load_few_shot("clusters"), SHAPE, 0)
    course.advance()
    factors = torch.cat([rate.detach().flatten() for rate in course.learner.rule.rates])
    factors = factors / settings.inner_rate
    assert factors.std() > 0.3
    assert factors.max() > 2


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
    ("settings", "stacked"),
    [
        ({"variant": "npbml"}, True),  # the network is dense
        ({"variant": "maml", "meta_batch": 1}, False),
        ({"variant": "npbml", "order": "recompute"}, False),
        ({"variant": "npbml", "stacking": "separate"}, False),
        ({"variant": "maml", "stacking": "stacked"}, True),
        ({"variant": "protonet", "stacking": "stacked"}, False),
    ],
)
def test_tasks_are_stacked_where_it_pays_or_is_asked_for(settings, stacked, monkeypatch):
    called = []
    whole = Learner.accumulate_stacked
    monkeypatch.setattr(
        Learner,
        "accumulate_stacked",
        lambda self, *told: called.append(len(told[0])) or whole(self, *told),
    )
    course = MetaCourse(FewShot(**(TINY | settings)), load_few_shot("clusters"), SHAPE, 0)
    course.advance()
    assert called == ([2, 2] if stacked else [])


def test_a_checkpoint_of_another_network_is_refused():
    task = load_few_shot("clusters")
    saved = MetaCourse(FewShot("maml", **TINY), task, SHAPE, 0)
    other = MetaCourse(FewShot("maml", **(TINY | {"width": 7})), task, SHAPE, 0)
    saved.advance()
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.restore(saved.state())


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
    with pytest.raises(UnknownNameError, match="conv4"):
        make_learner(FewShot(network="conv5"), load_few_shot("clusters"), SHAPE, 0)
    with pytest.raises(ConfigurationError, match="--network dense"):
        make_learner(FewShot(network="conv4"), load_few_shot("clusters"), SHAPE, 0)
    assert FewShot.preset("quick", "maml").variant == "maml"
    assert set(PRESETS) == {"quick", "paper"}


@pytest.mark.parametrize(
    ("name", "shape", "says"),
    [
        ("clusters", EpisodeSpec(40, 1, 1), "classes, fewer than 40 ways"),
        ("clusters", EpisodeSpec(5, 30, 15), "fewer than 30 shots and 15 queries"),
        ("clusters", EpisodeSpec(1, 1, 1), "pass --ways 2"),
        ("sinusoids", EpisodeSpec(5, 1, 1), "pass --ways 1"),
    ],
)
def test_episodes_that_cannot_be_drawn_are_told_before_training(name, shape, says):
    with pytest.raises(DataError, match=says):
        MetaCourse(FewShot("maml", **TINY), load_few_shot(name), shape, 0)


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


@pytest.mark.parametrize("part", ["valid", "test"])
@pytest.mark.parametrize("name", ["clusters", "sinusoids"])
def test_a_network_that_diverges_in_adaptation_has_no_score(part, name, monkeypatch):
    task = load_few_shot(name)
    shape = SHAPE if name == "clusters" else EpisodeSpec(1, 5, 5)
    course = MetaCourse(FewShot("maml", **TINY), task, shape, 0)
    if part == "test":
        while not course.is_over:
            course.advance()
    nothing = torch.full((9, 3) if name == "clusters" else (5, 1), torch.nan)
    monkeypatch.setattr(Learner, "predict", lambda *_: nothing)
    with pytest.raises(DivergedError, match=f"adapted to meta-{part} task 1"):
        course.conclude() if part == "test" else course.advance()


def test_nothing_is_learned_from_a_step_that_diverged():
    course = MetaCourse(FewShot("maml", **TINY), load_few_shot("clusters"), SHAPE, 0)
    course.advance()
    before = {name: value.clone() for name, value in course.learner.state_dict().items()}
    course.learner.optimizer = dataclasses.replace(course.learner.optimizer, learning_rate=1e30)
    with pytest.raises(DivergedError):
        course.advance()
    assert all(torch.equal(before[n], value) for n, value in course.learner.state_dict().items())


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
