import math

from hypothesis import given
from hypothesis import strategies as st

from lossforge.searching import NullJournal
from lossforge.searching.journal import finite_or_none, infinite_if_none


@given(st.floats(allow_nan=False))
def test_infinity_is_none_in_json_and_back(value):
    plain = finite_or_none(value)
    assert (plain is None) == math.isinf(value)
    assert infinite_if_none(plain) == (value if math.isfinite(value) else math.inf)


def test_a_null_journal_starts_fresh_whatever_it_was_given():
    journal = NullJournal()
    journal.checkpoint({"round": 1}, {})
    assert journal.restore() is None
