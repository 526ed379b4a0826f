from lossforge import errors


def test_every_error_of_a_user_is_one_of_ours():
    own = [getattr(errors, name) for name in dir(errors) if name.endswith("Error")]
    assert len(own) >= 7
    assert all(issubclass(kind, errors.LossforgeError) for kind in own)


def test_a_message_is_one_line_whatever_it_tells():
    assert str(errors.DataError("no column 'a\nb'\r\nin x")) == "no column 'a b' in x"
    assert str(errors.MissingPackageError("two  spaces stay")) == "two  spaces stay"
