"""What loggers receive: the numbers of plain data, each under the path of its name."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lossforge.runs.watcher import numbers_in

NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False))
OTHERS = st.one_of(st.none(), st.booleans(), st.text(max_size=3), st.lists(st.integers()))
NAMES = st.text("abc", min_size=1, max_size=3)
TREES = st.recursive(
    st.dictionaries(NAMES, st.one_of(NUMBERS, OTHERS), max_size=4),
    lambda inner: st.dictionaries(NAMES, st.one_of(NUMBERS, inner), max_size=4),
    max_leaves=8,
)


@settings(max_examples=30)
@given(TREES)
def test_every_number_is_found_again_by_its_path(tree):
    found = dict(numbers_in(tree))
    for path, value in found.items():
        place = tree
        for name in path.split("/"):
            place = place[name]
        assert place is value or place == value

    def count(place: object) -> int:
        if isinstance(place, dict):
            return sum(map(count, place.values()))
        return type(place) in (int, float)

    assert len(found) == count(tree)


def test_truth_values_text_and_lists_are_no_numbers():
    content = {"tuned": True, "loss": "focal", "tests": [0.1], "best": None, "valid": 0}
    assert dict(numbers_in(content)) == {"valid": 0}
