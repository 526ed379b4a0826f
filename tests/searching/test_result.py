"""A search's result prints in a line that says what was found."""

from lossforge.losses import SymbolicLoss
from lossforge.searching.result import FrontMember, SearchResult

LOSS = SymbolicLoss("-y*log(p)")


def test_its_repr_is_a_line_with_the_loss_and_its_fitness():
    front = tuple(FrontMember(LOSS, size, 1 / size) for size in (3, 5))
    text = repr(SearchResult(LOSS, 0.123456, 42, front))
    assert (
        text
        == f"SearchResult({LOSS}: 0.1235 on validation data after 42 evaluations, 2 on the front)"
    )


def test_results_without_sizes_have_no_front_and_share_nothing():
    one, two = (SearchResult(LOSS, 0.5, 1) for _ in range(2))
    assert one.front == ()
    assert one.counts == {}
    assert one.counts is not two.counts
