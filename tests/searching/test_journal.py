from lossforge.searching import NullJournal


def test_a_null_journal_starts_fresh_whatever_it_was_given():
    journal = NullJournal()
    journal.checkpoint({"round": 1}, {})
    assert journal.restore() is None
