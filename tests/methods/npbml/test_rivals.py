"""What makes each rival what it is."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge
from torch.nn import functional as F

from lossforge.errors import ConfigurationError
from lossforge.methods.npbml import VARIANTS, FewShot, MetaCourse, make_learner
from lossforge.methods.npbml.base import embed_both
from lossforge.methods.npbml.linear_probe import LinearProbe
from lossforge.methods.npbml.maml_plus_plus import step_weights
from lossforge.methods.npbml.r2d2 import ridge
from lossforge.tasks.episodes import EpisodeSpec
from lossforge.tasks.few_shot_sets import load_few_shot
from methods.npbml.few_shot_cases import SHAPE, drawn, fresh, made, vectors_task


def features(learner, weights, episode) -> torch.Tensor:
    return learner.embed(weights, episode.query).detach()


def test_anil_adapts_the_head_alone():
    learner, episode = made("anil")
    begun, ended = learner.begin().parameters, learner.adapt(episode).parameters
    assert len(begun) == 2
    assert all(not torch.equal(a, b) for a, b in zip(begun, ended, strict=True))
    assert torch.equal(features(learner, begun, episode), features(learner, ended, episode))


@pytest.mark.parametrize("network", ["dense", "conv4"])
def test_boil_adapts_the_encoder_alone(network):
    learner, episode = made("boil", network)
    begun, ended = learner.begin().parameters, learner.adapt(episode).parameters
    assert len(begun) == len(learner.adapted.body) > 0
    assert any(not torch.equal(a, b) for a, b in zip(begun, ended, strict=True))
    assert not torch.allclose(features(learner, begun, episode), features(learner, ended, episode))


def test_the_head_of_boil_tells_ways_apart_where_others_share_one_vector():
    rows = {name: made(name)[0].head.begin()[0] for name in ("boil", "maml")}
    assert (rows["boil"][0] - rows["boil"][1]).abs().max() > 0.1
    assert torch.equal(rows["maml"][0], rows["maml"][1])


@pytest.mark.parametrize("rival", ["maml_plus_plus", "metasgd"])
def test_learned_rates_begin_as_maml(rival):
    (learner, episode), (maml, _) = fresh(rival), fresh("maml")
    for found, expected in zip(
        learner.adapt(episode).parameters, maml.adapt(episode).parameters, strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_alfa_without_momentum_begins_as_maml():
    (learner, episode), (maml, _) = (fresh(n, inner_momentum=0.0) for n in ("alfa", "maml"))
    for found, expected in zip(
        learner.adapt(episode).parameters, maml.adapt(episode).parameters, strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_maml_plus_plus_has_a_rate_for_each_step_and_layer():
    learner, episode = made("maml_plus_plus")
    assert learner.rule.rates.shape == (2, len(learner.begin().parameters))
    with torch.no_grad():
        learner.rule.rates[1, 0] = 0
    first, second, third = (point.parameters for point in learner.path(episode))
    assert not torch.equal(first[0], second[0])
    assert torch.equal(second[0], third[0])
    assert not torch.equal(second[1], third[1])


@given(st.integers(1, 12), st.floats(0, 1))
def test_the_weights_of_the_steps_outer_losses_sum_to_one(steps, progress):
    weights = step_weights(steps, progress)
    assert sum(weights) == pytest.approx(1)
    assert all(0 <= weight <= weights[-1] + 1e-12 for weight in weights)
    assert len(set(weights[:-1])) <= 1


@pytest.mark.parametrize("order", ["second", "recompute"])
@pytest.mark.parametrize("progress", [0.0, 0.1])
def test_the_meta_gradient_of_every_steps_loss_is_exact(order, progress):
    learner, episode = made("maml_plus_plus")

    def value() -> float:
        points = learner.path(episode, "second")
        return learner.outer_loss(points, episode, progress).item()

    assert learner.accumulate(episode, order, 1.0, progress) == pytest.approx(value())
    for name, weight in learner.named_parameters():
        along, values = torch.randn_like(weight), []
        for moved in (1e-6, -2e-6):
            with torch.no_grad():
                weight.add_(moved * along)
            values.append(value())
        with torch.no_grad():
            weight.add_(1e-6 * along)
        expected = (values[0] - values[1]) / 2e-6
        assert float((weight.grad * along).sum()) == pytest.approx(expected, rel=1e-5, abs=1e-8), (
            name
        )


def test_every_steps_loss_counts_alike_at_first_and_the_last_alone_in_the_end():
    learner, episode = made("maml_plus_plus")
    points = learner.path(episode)
    losses = [learner.query_loss(p.parameters, episode).item() for p in points[1:]]
    assert learner.outer_loss(points, episode, 0.0).item() == pytest.approx(sum(losses) / 2)
    assert learner.outer_loss(points, episode, 1.0).item() == pytest.approx(losses[-1])
    maml, _ = made("maml")
    last = maml.query_loss(maml.adapt(episode).parameters, episode).item()
    assert maml.outer_loss(maml.path(episode), episode, 0.0).item() == pytest.approx(last)


def test_rates_of_alfa_follow_from_the_task():
    learner, episode = made("alfa", inner_momentum=0.0)
    steps = []
    for each in (episode, drawn(vectors_task(), 7)):
        begun = learner.path(each)[1]  # where a shared head no longer gives one gradient to all
        value = learner.inner_loss(begun.parameters, each)
        gradients = torch.autograd.grad(value, begun.parameters)
        moved = learner.rule(begun, gradients, 0, learner.optimizer).parameters
        flat = [t.detach().flatten() for t in (moved[0], begun.parameters[0], gradients[0])]
        # moved = keep·θ - rate·g: two numbers, found from all of a layer's.
        found = torch.linalg.lstsq(torch.stack(flat[1:], 1), flat[0][:, None]).solution
        torch.testing.assert_close(torch.stack(flat[1:], 1) @ found, flat[0][:, None])
        steps.append(found)
    assert (steps[0] - steps[1]).abs().max() > 1e-7


def test_metals_loss_adapts_to_the_task_and_differs_by_step():
    learner, episode = made("metal")
    weights = learner.begin().parameters
    one, two = (learner.inner_loss(weights, episode, index) for index in (0, 1))
    assert not torch.allclose(one, two)
    with torch.no_grad():
        for term in (*learner.loss.support, *learner.loss.query):
            term.strengths.zero_()
    assert not torch.allclose(learner.inner_loss(weights, episode, 0), one)


def test_metal_sees_query_inputs_without_labels():
    learner, episode = made("metal")
    other = replace(episode, query=torch.randn_like(episode.query))
    weights = learner.begin().parameters
    assert not torch.allclose(
        learner.inner_loss(weights, episode), learner.inner_loss(weights, other)
    )


def test_metal_with_alfa_has_both():
    learner, _ = made("metal_alfa")
    assert type(learner.loss) is type(made("metal")[0].loss)
    assert type(learner.rule) is type(made("alfa")[0].rule)


@given(st.integers(1, 8), st.integers(1, 8), st.floats(0.01, 10), st.integers(0, 99))
def test_ridge_regression_is_that_of_scikit_learn(rows, width, penalty, seed):
    draw = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(rows, n, generator=draw, dtype=torch.double) for n in (width, 3))
    expected = Ridge(penalty, fit_intercept=False, solver="svd").fit(x.numpy(), y.numpy()).coef_
    torch.testing.assert_close(ridge(x, y, penalty), torch.from_numpy(expected).T)


def test_gradients_go_through_the_closed_form():
    draw = torch.Generator().manual_seed(0)
    x, y = (torch.randn(4, n, generator=draw, dtype=torch.double) for n in (6, 3))
    penalty = torch.tensor(0.7, dtype=torch.double)
    tensors = [each.requires_grad_() for each in (x, y, penalty)]
    assert torch.autograd.gradcheck(ridge, tensors)


@pytest.mark.parametrize("network", ["dense", "conv4"])
def test_the_meta_gradient_of_r2d2_is_exact(network):
    learner, episode = made("r2d2", network)
    learner.accumulate(episode, "second", 1.0)
    for name, weight in learner.named_parameters():
        along, values = torch.randn_like(weight), []
        for moved in (1e-6, -2e-6):
            with torch.no_grad():
                weight.add_(moved * along)
            with torch.no_grad():
                found = learner.outputs(episode)
            values.append(float(F.cross_entropy(found, episode.query_targets)))
        with torch.no_grad():
            weight.add_(1e-6 * along)
        expected = (values[0] - values[1]) / 2e-6
        assert float((weight.grad * along).sum()) == pytest.approx(expected, rel=1e-5, abs=1e-8), (
            name
        )


def test_a_linear_probe_is_scikit_learns_logistic_regression_on_unit_features():
    learner, episode = made("linear_probe")
    with torch.no_grad():
        support, query = (F.normalize(x, dim=1) for x in embed_both(learner.encoder, episode))
    regression = LogisticRegression(max_iter=1000).fit(support, episode.support_targets)
    expected = torch.from_numpy(regression.predict_log_proba(query))
    torch.testing.assert_close(learner.predict(episode), expected)


def test_a_step_of_the_probe_classifies_as_many_rows_as_other_methods_see(monkeypatch):
    seen = []
    whole = LinearProbe.accumulate_rows
    monkeypatch.setattr(
        LinearProbe,
        "accumulate_rows",
        lambda self, *rows: seen.append(rows) or whole(self, *rows),
    )
    tiny = {"width": 4, "meta_steps": 2, "meta_batch": 2, "check_every": 2, "valid_tasks": 2}
    settings = FewShot("linear_probe", network="dense", pretrain_steps=2, **tiny)
    course = MetaCourse(settings, vectors_task(), SHAPE, 0)
    before = course.learner.encoder.state_dict()["1.weight"].clone()
    course.advance()
    assert [len(inputs) for inputs, _ in seen] == [2 * 3 * 4] * 2
    assert max(int(labels.max()) for _, labels in seen) >= SHAPE.ways
    assert not torch.equal(before, course.learner.encoder.state_dict()["1.weight"])


@pytest.mark.parametrize("variant", [v for v, (_, parts) in VARIANTS.items() if parts is None])
def test_what_classifies_refuses_regression(variant):
    with pytest.raises(ConfigurationError, match=f"{variant} classifies; sinusoids is regression"):
        make_learner(FewShot(variant), load_few_shot("sinusoids"), EpisodeSpec(1, 5, 5), 0)


@pytest.mark.parametrize("variant", ["anil", "boil", "alfa", "metal_alfa", "maml_plus_plus"])
def test_rivals_with_an_inner_loop_do_regression_too(variant):
    tiny = {"width": 4, "meta_steps": 2, "meta_batch": 2, "check_every": 2, "valid_tasks": 2}
    settings = FewShot(variant, network="dense", test_tasks=2, **tiny)
    found = settings.run(load_few_shot("sinusoids"), EpisodeSpec(1, 5, 5), progress=False)
    assert found.metric == "mse"
    assert found.step_seconds > 0
