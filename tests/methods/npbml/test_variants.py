"""Variants by name: each is made of components that differ where its description says."""

from dataclasses import fields, replace

import pytest

from lossforge.methods.npbml import VARIANTS, Components, FewShot
from lossforge.methods.npbml.variants import MAML
from lossforge.tasks.episodes import EpisodeSpec
from lossforge.tasks.few_shot_sets import load_few_shot


def test_parts_are_switches():
    assert Components() == Components(
        warp=True, film=True, inductive=True, transductive=True, penalty=True
    )


@pytest.mark.parametrize("part", ["inductive", "transductive", "penalty", "task_adaptive_loss"])
def test_any_term_makes_a_learned_loss(part):
    assert not MAML.learns_loss
    assert replace(MAML, **{part: True}).learns_loss


@pytest.mark.parametrize("part", ["warp", "film", "every_step"])
def test_what_is_no_term_does_not(part):
    assert not replace(MAML, **{part: True}).learns_loss


def test_which_variants_learn_a_loss():
    learning = {name for name, (_, parts) in VARIANTS.items() if parts and parts.learns_loss}
    assert learning == {
        *("npbml", "npbml_without_film", "metal", "metal_alfa"),
        *("maml_inductive", "maml_transductive", "maml_penalty"),
    }


def test_no_two_variants_are_made_of_the_same_but_by_their_order_of_gradients():
    made = [(name, parts) for name, (_, parts) in VARIANTS.items() if parts and name != "fomaml"]
    assert len({parts for _, parts in made}) == len(made)
    assert VARIANTS["fomaml"][1] == VARIANTS["maml"][1]


def test_a_variant_adapts_something():
    assert all(p.adapts_body or p.adapts_head for _, p in VARIANTS.values() if p is not None)
    switched_on = [f.name for f in fields(MAML) if getattr(MAML, f.name) is True]
    assert switched_on == ["adapts_body", "adapts_head"]


@pytest.mark.parametrize("variant", ["anil", "boil", "alfa", "metal_alfa", "maml_plus_plus"])
def test_rivals_with_an_inner_loop_do_regression_too(variant):
    tiny = {"width": 4, "meta_steps": 2, "meta_batch": 2, "check_every": 2, "valid_tasks": 2}
    settings = FewShot(variant, network="dense", test_tasks=2, **tiny)
    found = settings.run(load_few_shot("sinusoids"), EpisodeSpec(1, 5, 5), progress=False)
    assert found.metric == "mse"
    assert found.step_seconds > 0
