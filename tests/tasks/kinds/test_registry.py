"""Kinds by name."""

import pytest

from lossforge.errors import ConfigurationError
from lossforge.tasks.kinds import KINDS, Classification, Regression, as_kind

each = pytest.mark.parametrize("kind", [make() for make in KINDS.values()], ids=str)


@each
def test_a_name_stands_for_a_kind(kind):
    assert as_kind(kind.name) == as_kind(kind) == kind
    assert str(kind) == kind.tag == kind.name


def test_other_names_are_refused():
    for wrong in ("ordinal", None, 3):
        with pytest.raises(ConfigurationError, match="classification or multilabel or regression"):
            as_kind(wrong)
    with pytest.raises(ConfigurationError, match="integer"):
        Classification(ignore_index="void")
    with pytest.raises(ConfigurationError, match="no labels"):
        Regression().with_ignore_index(0)


def test_a_digest_tells_what_is_ignored():
    assert Classification(255).tag != Classification().tag
