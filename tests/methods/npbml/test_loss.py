"""The learned terms of the inner loss, each by itself."""

import math

import pytest
import torch

from lossforge.methods.npbml.loss import FIRST_SCALES, Prototypes

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
