import math

import pytest

from lossforge.errors import ConfigurationError
from lossforge.validation import require_in_range


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.1, 1.1])
def test_what_is_outside_or_no_number_is_refused(value):
    with pytest.raises(ConfigurationError, match="share must be from 0 to 1"):
        require_in_range("share", value, 0, 1)


def test_bounds_belong_to_the_range_unless_left_out():
    require_in_range("share", 0, 0, 1)
    require_in_range("share", 1, 0, 1)
    with pytest.raises(ConfigurationError, match="above 0 and at most 1, not 0"):
        require_in_range("share", 0, 0, 1, exclude_low=True)


def test_a_whole_number_beyond_floats_is_refused():
    with pytest.raises(ConfigurationError, match="steps is too large"):
        require_in_range("steps", 10**400, 1)
