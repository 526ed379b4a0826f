"""Streams are reproducible, separate, and leave the global generator alone."""

import torch

from lossforge.randomness import derive_seed, isolated_seed, python_generator, torch_generator


def test_same_purpose_gives_the_same_stream():
    first = torch.rand(5, generator=torch_generator(3, "batches", 1))
    second = torch.rand(5, generator=torch_generator(3, "batches", 1))
    assert torch.equal(first, second)
    assert python_generator(3, "a").random() == python_generator(3, "a").random()


def test_purposes_and_seeds_give_different_streams():
    seeds = {derive_seed(s, *p) for s in range(10) for p in [(), ("a",), ("a", 1), ("a", 2)]}
    assert len(seeds) == 40


def test_isolated_seed_restores_the_global_generator():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with isolated_seed(7):
        torch.rand(100)
    assert torch.equal(torch.rand(3), expected)
