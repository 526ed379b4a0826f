"""A family is abstract."""

import pytest

from lossforge.models import Family


def test_a_family_must_say_how_to_build():
    with pytest.raises(TypeError, match="abstract"):
        Family()
