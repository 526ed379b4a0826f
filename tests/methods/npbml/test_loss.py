"""The learned terms of the inner loss, each by itself."""

import math

import pytest
import torch

from lossforge.methods.npbml.loss import FIRST_SCALES, Prototypes, Term, smooth_leaky_relu

WAYS = 5


def rows_around_axes(count: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features of well separated classes: support, its labels, and a query row of each class."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(WAYS).repeat(count)
    centers = 3 * torch.eye(WAYS, 8)
    support = centers[labels] + 0.1 * torch.randn(len(labels), 8, generator=draw)
    return support, labels, centers + 0.1 * torch.randn(WAYS, 8, generator=draw)


@pytest.mark.parametrize("similarity", FIRST_SCALES)
def test_similarities_can_be_confident(similarity):
    support, labels, query = rows_around_axes()
    likely = Prototypes(similarity)(query, support, labels, WAYS).softmax(1)
    assert likely.diagonal().min() > 0.99


def test_cosines_without_a_temperature_could_not():
    support, labels, query = rows_around_axes()
    cosine = Prototypes("cosine")
    with torch.no_grad():
        cosine.log_scale.zero_()
    assert cosine(query, support, labels, WAYS).softmax(1).max() < 0.65


def test_distances_begin_as_those_of_prototypical_networks():
    support, labels, query = rows_around_axes()
    prototypes = torch.stack([support[labels == label].mean(0) for label in range(WAYS)])
    found = Prototypes("distance")(query, support, labels, WAYS)
    torch.testing.assert_close(found, -torch.cdist(query, prototypes).square())


@pytest.mark.parametrize("similarity", FIRST_SCALES)
def test_a_higher_temperature_is_less_confident(similarity):
    support, labels, query = rows_around_axes()
    prototypes = Prototypes(similarity)
    before = prototypes(query, support, labels, WAYS)
    with torch.no_grad():
        prototypes.log_scale.sub_(math.log(2))
    torch.testing.assert_close(prototypes(query, support, labels, WAYS), before / 2)


@pytest.mark.parametrize("similarity", FIRST_SCALES)
def test_features_of_zeros_have_finite_second_derivatives(similarity):
    """Rectified features of a row can all be zero; the outer gradient was NaN then."""
    support, labels, query = rows_around_axes()
    support[labels == 0], query[1] = 0, 0
    rows = [support.requires_grad_(), query.requires_grad_()]
    similar = Prototypes(similarity)(query, support, labels, WAYS)
    first = torch.autograd.grad(similar.softmax(1).square().sum(), rows, create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in first), rows)
    assert all(bool(g.isfinite().all()) for g in (*first, *second))


def modulated_term() -> Term:
    torch.manual_seed(0)
    term = Term(7, film=True).double()
    with torch.no_grad():
        for weight in term.parameters():
            weight.normal_(std=0.3)
    return term


def test_a_fresh_term_is_not_modulated():
    torch.manual_seed(0)
    term, plain = Term(7, film=True), Term(7, film=False)
    plain.load_state_dict(term.state_dict(), strict=False)
    seen = torch.randn(6, 7)
    assert torch.equal(term.by_row(seen), plain.by_row(seen))


def test_modulation_stands_before_every_activation():
    term, seen = modulated_term(), torch.randn(6, 7, dtype=torch.double)
    expected = seen
    for layer, film in zip([*term.hidden, term.last], term.films, strict=True):
        gamma, beta = film.generator(expected.mean(0)).chunk(2)
        before = (1 + gamma) * layer(expected) + beta
        expected = smooth_leaky_relu(before) if layer is term.last else before.relu()
    torch.testing.assert_close(term.by_row(seen), expected[:, 0])


@pytest.mark.parametrize("index", [0, 1, 2])
def test_modulation_of_every_layer_changes_the_term(index):
    term, seen = modulated_term(), torch.randn(6, 7, dtype=torch.double)
    before = term(seen)
    with torch.no_grad():
        term.films[index].generator.bias.add_(0.5)
    assert abs(term(seen) - before) > 1e-3


def test_a_row_s_value_depends_on_the_task_s_other_rows():
    term, seen = modulated_term(), torch.randn(6, 7, dtype=torch.double)
    other = seen.clone()
    other[1:] += 1
    assert abs(term.by_row(seen)[0] - term.by_row(other)[0]) > 1e-3


def test_derivatives_of_a_term_are_exact():
    term = modulated_term()
    seen = torch.randn(4, 7, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(term, (seen,))
    assert torch.autograd.gradgradcheck(term, (seen,))
