"""Meta-gradients of every part against central differences; query labels stay outside."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from lossforge.methods.npbml import VARIANTS, FewShot, Learner, make_learner
from lossforge.methods.npbml.film import FiLM
from lossforge.tasks.episodes import Episode, EpisodeSpec, FewShotTask
from lossforge.tasks.few_shot_sets import characters_task, sinusoids

SHAPE = EpisodeSpec(ways=3, shots=2, queries=2)


def images_task() -> FewShotTask:
    draw = torch.Generator().manual_seed(9)
    rows = {f"class {i:02d}": torch.randn(6, 1, 16, 16, generator=draw) for i in range(16)}
    return characters_task("toy", rows, 0, rotations=False)


def vectors_task() -> FewShotTask:
    draw = torch.Generator().manual_seed(9)
    rows = {f"class {i:02d}": torch.randn(6, 5, generator=draw) for i in range(16)}
    return characters_task("toy", rows, 0, rotations=False)


def made(variant: str, network: str = "dense", **settings) -> tuple[Learner, Episode]:
    task = vectors_task() if network == "dense" else images_task()
    few = FewShot(variant, network=network, width=4, inner_steps=2, inner_rate=0.1, **settings)
    learner = make_learner(few, task, SHAPE, seed=1)
    assert isinstance(learner, Learner)
    episode = task.pools["train"].draw(SHAPE, torch.Generator().manual_seed(2))
    learner = learner.double()
    with torch.no_grad():  # away from where parts begin: zero modulation, equal biases
        draw = torch.Generator().manual_seed(9)
        for weight in learner.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=draw, dtype=torch.double))
    return learner, replace(episode, support=episode.support.double(), query=episode.query.double())


def outer(learner: Learner, episode: Episode) -> float:
    weights = learner.inner_loop(episode, "second").parameters
    return float(learner.query_loss(weights, episode).detach())


def check_against_central_differences(
    learner: Learner, episode: Episode, order: str, step: float = 1e-6
) -> None:
    learner.accumulate(episode, order, 1.0)
    draw = torch.Generator().manual_seed(9)
    found, expected = {}, {}
    for name, weight in learner.named_parameters():
        assert weight.grad is not None, name
        along = torch.randn(weight.shape, generator=draw, dtype=torch.double)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight.add_(sign * step * along)
            values.append(outer(learner, episode))
            with torch.no_grad():
                weight.sub_(sign * step * along)
        expected[name] = (values[0] - values[1]) / (2 * step)
        found[name] = float((weight.grad * along).sum())
    # What is lost to rounding is lost from the value, so it is small beside the largest.
    lost = 1e-13 / step * max(map(abs, expected.values()))
    assert found == pytest.approx(expected, rel=1e-5, abs=lost)


GRADIENTS = [v for v, (_, parts) in VARIANTS.items() if parts is not None and v != "fomaml"]


@pytest.mark.parametrize("order", ["second", "recompute"])
@pytest.mark.parametrize("variant", GRADIENTS)
def test_meta_gradients_of_every_part_are_exact(variant, order):
    check_against_central_differences(*made(variant), order)


@pytest.mark.parametrize("order", ["second", "recompute"])
@pytest.mark.parametrize("variant", ["maml", "npbml", "metal_alfa", "metasgd"])
def test_meta_gradients_through_prototypes_are_exact(variant, order):
    check_against_central_differences(*made(variant, head_init="prototypes"), order)


def test_meta_gradients_through_prototypes_of_images_are_exact():
    learner, episode = made("npbml", "conv4", head_init="prototypes", task_encoder="relation")
    check_against_central_differences(learner, episode, "second")


@pytest.mark.parametrize(
    ("network", "variant"),
    [
        ("conv4", "maml"),
        ("conv4", "npbml"),
        ("resnet12", "maml"),
        pytest.param("resnet12", "npbml", marks=pytest.mark.slow),
    ],
)
def test_meta_gradients_of_convolutional_networks_are_exact(variant, network):
    # Rectifiers and pooling jump; among many units a smaller step is needed to cross none.
    step = 1e-8 if network == "resnet12" else 1e-6
    check_against_central_differences(*made(variant, network), "second", step)


@pytest.mark.parametrize("network", ["dense", "conv4", "resnet12"])
def test_the_meta_gradient_reaches_every_film_generator(network):
    learner, episode = made("npbml", network)
    learner.accumulate(episode, "second", 1.0)
    norms = {name: float(w.grad.norm()) for name, w in learner.encoder.named_parameters()}
    modulating = [norm for name, norm in norms.items() if "generator" in name]
    assert len(modulating) == (4 if network == "dense" else 8)
    # The numbers are held against central differences above; here, that they are of use.
    assert min(modulating) > 1e-3 * max(norms.values())


@pytest.mark.parametrize("network", ["dense", "conv4"])
@pytest.mark.parametrize("similarity", ["cosine", "distance"])
def test_the_meta_gradient_reaches_the_temperature(similarity, network):
    learner, episode = made("npbml", network, similarity=similarity)
    draw = torch.Generator().manual_seed(9)
    with torch.no_grad():  # a term that matters, or rounding hides the temperature
        for weight in learner.loss.transductive.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=draw))
    learner.accumulate(episode, "second", 1.0)
    scale, step = learner.loss.prototypes.log_scale, 1e-5
    values = []
    for moved in (step, -2 * step):
        with torch.no_grad():
            scale.add_(moved)
        values.append(outer(learner, episode))
    assert abs(float(scale.grad)) > 1e-6
    assert float(scale.grad) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)


def test_every_part_has_its_parameters():
    learner, _ = made("npbml")
    names = {name.split(".")[0] for name, _ in learner.named_parameters()}
    assert names == {"encoder", "head", "loss"}
    assert any(isinstance(module, FiLM) for module in learner.encoder.modules())
    assert any("films" in name for name, _ in learner.loss.named_parameters())
    assert learner.loss.inductive is not None
    assert learner.loss.transductive is not None
    assert learner.loss.inductive is not learner.loss.transductive
    assert len(learner.loss.penalty) == len(learner.loss.layers) == 3


def test_warp_layers_and_norms_do_not_adapt():
    learner, _ = made("npbml", "conv4")
    assert len(learner.adapted.body) == 8
    assert all(name.rsplit(".", 1)[0] in ("0", "3", "6", "9") for name in learner.adapted.body)


@pytest.mark.parametrize("head_init", ["shared", "prototypes"])
@pytest.mark.parametrize("variant", GRADIENTS)
def test_query_labels_never_reach_the_inner_loop(variant, head_init):
    if variant == "boil" and head_init == "prototypes":
        pytest.skip("its head does not adapt")
    learner, episode = made(variant, head_init=head_init)
    poisoned = replace(episode, query_targets=torch.full_like(episode.query_targets, -1))
    one, two = (learner.inner_loop(each, "first").parameters for each in (episode, poisoned))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_query_inputs_reach_it_only_by_the_transductive_term():
    for variant, reached in (("maml_inductive", False), ("maml_transductive", True)):
        learner, episode = made(variant)
        other = replace(episode, query=torch.randn_like(episode.query))
        one, two = (learner.inner_loop(each, "first").parameters for each in (episode, other))
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True)) is not reached


def test_the_transductive_term_may_see_a_part_of_the_query_rows():
    learner, episode = made("maml_transductive")
    limited, _ = made("maml_transductive", unlabelled=4)
    limited.load_state_dict(learner.state_dict())
    seen = limited._some(episode.query)
    assert len(seen) == 4
    other = episode.query.clone()
    unseen = [i for i, row in enumerate(other) if not (seen == row).all(1).any()]
    other[unseen] = 0
    changed = replace(episode, query=other)
    one, two = (limited.inner_loop(each).parameters for each in (episode, changed))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert len(learner._some(episode.query)) == len(episode.query)


def test_a_head_of_prototypes_begins_as_a_prototypical_network():
    learner, episode = made("anil", head_init="prototypes")
    with torch.no_grad():
        learner.head.log_scale.zero_()
    learner.inner_steps = 0
    features = [learner.embed([], rows) for rows in (episode.support, episode.query)]
    means = torch.stack([features[0][episode.support_targets == k].mean(0) for k in range(3)])
    expected = -torch.cdist(features[1], means).square()
    # Up to ‖x‖², which all classes share.
    found = learner.predict(episode).log_softmax(1)
    torch.testing.assert_close(found, expected.log_softmax(1).detach())


def test_the_first_inner_gradient_leaves_out_how_prototypes_were_made():
    learner, episode = made("maml", head_init="prototypes")
    point = learner.begin(episode)
    value = learner.inner_loss(point.parameters, episode)
    found = torch.autograd.grad(value, point.parameters, retain_graph=True)
    constant = [weight.detach().requires_grad_() for weight in point.parameters]
    expected = torch.autograd.grad(learner.inner_loss(constant, episode), constant)
    assert all(torch.allclose(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("head_init", ["shared", "prototypes"])
@pytest.mark.parametrize("variant", ["maml", "metasgd"])
def test_no_task_can_depend_on_which_class_has_which_label(variant, head_init):
    learner, episode = made(variant, head_init=head_init)
    order = torch.tensor([2, 0, 1])
    renamed = replace(
        episode,
        support_targets=order[episode.support_targets],
        query_targets=order[episode.query_targets],
    )
    first, second = learner.predict(episode), learner.predict(renamed)
    torch.testing.assert_close(second[:, order], first)


def test_first_order_agrees_with_second_where_there_is_one_step_of_a_linear_start():
    learner, episode = made("maml", order="first")
    learner.inner_steps = 0
    for order in ("first", "second", "recompute"):
        learner.zero_grad()
        learner.accumulate(episode, order, 1.0)
        found = [weight.grad.clone() for weight in learner.parameters()]
        if order == "first":
            expected = found
        assert all(torch.allclose(a, b) for a, b in zip(found, expected, strict=True))


def test_regression_has_no_transductive_term():
    task = sinusoids(0)
    learner = make_learner(FewShot("npbml", network="dense"), task, EpisodeSpec(1, 5, 5), 0)
    assert isinstance(learner, Learner)
    assert learner.loss.transductive is None
    assert learner.loss.inductive is not None


def test_fresh_parts_leave_the_network_as_it_was():
    task = images_task()
    plain = make_learner(FewShot("maml", width=4), task, SHAPE, 1)
    warped = make_learner(FewShot("npbml", width=4), task, SHAPE, 1)
    assert isinstance(plain, Learner)
    assert isinstance(warped, Learner)
    warped.encoder.load_state_dict(_without_warps(plain.encoder), strict=False)
    inputs = torch.randn(4, 1, 16, 16)
    torch.testing.assert_close(warped.encoder(inputs), plain.encoder(inputs))


def _without_warps(encoder: nn.Module) -> dict[str, torch.Tensor]:
    return encoder.state_dict()


@pytest.mark.parametrize("order", ["second", "first"])
@pytest.mark.parametrize("network", ["dense", "conv4", "resnet12"])
@pytest.mark.parametrize("variant", ["maml", "metasgd", "npbml"])
def test_stacked_tasks_give_the_meta_gradient_of_one_after_the_other(variant, network, order):
    check_stacked(*made(variant, network), order)


def test_stacked_tasks_begin_from_their_own_prototypes():
    check_stacked(*made("npbml", "conv4", head_init="prototypes"), "second")


def check_stacked(learner: Learner, episode: Episode, order: str) -> None:
    draw = torch.Generator().manual_seed(9)
    others = [torch.randn(episode.support.shape, generator=draw).double() for _ in range(2)]
    episodes = [episode, *(replace(episode, support=rows) for rows in others)]
    mean = sum(learner.accumulate(each, order, 1 / 3) for each in episodes) / 3
    expected = {n: w.grad for n, w in learner.named_parameters() if w.grad is not None}
    learner.zero_grad()
    assert learner.accumulate_stacked(episodes, order) == pytest.approx(mean, rel=1e-9)
    for name, weight in learner.named_parameters():
        found = torch.zeros_like(weight) if weight.grad is None else weight.grad
        torch.testing.assert_close(found, expected.get(name, torch.zeros_like(weight)))
