import pytest

from lossforge.errors import ConfigurationError
from lossforge.methods import TaylorGLO


@pytest.mark.parametrize("wrong", [{"population": 1}, {"generations": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        TaylorGLO(**wrong)


def test_there_is_a_round_for_each_generation():
    assert TaylorGLO(generations=7).rounds == 7
