"""The number of threads is a setting inside a block, and what it was after it."""

import pytest
import torch

from lossforge.errors import ConfigurationError
from lossforge.searching.executors.threads import check_threads, limited_threads


@pytest.mark.parametrize("count", [1, 2, 3])
def test_it_holds_inside_the_block_alone(count):
    before = torch.get_num_threads()
    with limited_threads(count):
        assert torch.get_num_threads() == count
    assert torch.get_num_threads() == before


def test_blocks_are_left_in_order():
    before = torch.get_num_threads()
    with limited_threads(3):
        with limited_threads(2):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


def test_it_is_given_back_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), limited_threads(before + 1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


def test_none_leaves_it():
    with limited_threads(2), limited_threads(None):
        assert torch.get_num_threads() == 2


@pytest.mark.parametrize("count", [0, -1, 257, 10**30, 10**400, 1.5, True])
def test_what_no_process_can_be_given_is_refused(count):
    with pytest.raises(ConfigurationError, match="threads"):
        check_threads(count)
