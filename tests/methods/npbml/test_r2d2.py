"""R2-D2: ridge regression in closed form, and gradients through it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from torch.nn import functional as F

from lossforge.methods.npbml.base import embed_both
from lossforge.methods.npbml.r2d2 import ridge
from methods.npbml.few_shot_cases import made


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


def test_outputs_are_scaled_and_shifted_predictions_of_the_one_hot_labels():
    learner, episode = made("r2d2")
    support, query = embed_both(learner.encoder, episode)
    labels = F.one_hot(episode.support_targets, 3).double().numpy()
    penalty = learner.log_penalty.exp().item()
    fitted = Ridge(penalty, fit_intercept=False).fit(support.detach().numpy(), labels)
    predicted = torch.from_numpy(fitted.predict(query.detach().numpy()))
    expected = learner.log_scale.exp() * predicted + learner.shift
    torch.testing.assert_close(learner.outputs(episode), expected)
