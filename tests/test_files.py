"""Files are written whole or not at all."""

import json
import math
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossforge.errors import FileFormatError
from lossforge.files import (
    finite_or_none,
    infinite_if_none,
    plain,
    read_json,
    read_regular,
    sweep,
    sweep_stale,
    write_atomically,
    write_json,
)


def test_a_failed_write_leaves_the_old_content(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}
    with pytest.raises(TypeError):
        write_atomically(path, 3)  # type: ignore[arg-type]
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "not valid JSON"),
        (b"[1]", "not a JSON object"),
        (b"\xff", "cannot be read"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
    ],
)
def test_damage_is_named(content, says, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=says):
        read_json(path)
    with pytest.raises(FileFormatError, match="does not exist"):
        read_json(tmp_path / "b.json")
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_json(tmp_path)


def test_files_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_what_cannot_be_written_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / ("x" * 300)):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - names the path, below
            write_atomically(path, "x")
        assert caught.value.filename == str(path)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    write_atomically(tmp_path / ("y" * 255), "a name as long as file systems allow")


def test_leftovers_alone_are_swept(tmp_path):
    for name in (".a.json.01234567.tmp", ".result.json.abcd_123", ".a.tmp", "a.json", ".hidden"):
        (tmp_path / name).write_text("")
    sweep(tmp_path)
    sweep(tmp_path / "missing")
    assert {path.name for path in tmp_path.iterdir()} == {".a.tmp", "a.json", ".hidden"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are Unix's")
def test_files_without_an_end_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(FileFormatError, match="no regular file"):
            read_regular(path)
    (tmp_path / "large").write_bytes(b"x" * 11)
    with pytest.raises(FileFormatError, match="too large: 11 bytes"):
        read_regular(tmp_path / "large", 10)


@given(st.floats(allow_nan=False))
def test_infinity_is_none_in_json_and_back(value):
    found = finite_or_none(value)
    assert (found is None) == math.isinf(value)
    assert infinite_if_none(found) == (value if math.isfinite(value) else math.inf)


data = st.recursive(
    st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(data)
@settings(max_examples=40)
def test_whatever_numbers_data_hold_json_can_hold_them(value):
    content = plain({"value": value})
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert plain(content) == content


def test_leftovers_of_one_file_are_removed_once_they_are_old(tmp_path):
    path = tmp_path / "page[1].html"
    names = [".page[1].html.0123abcd.tmp", ".page[1].html.89abcdef.tmp", ".other.html.0123abcd.tmp"]
    for name in (*names, ".page[1].html.mine.tmp"):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (0, 0))
    os.utime(tmp_path / names[1])  # another process may be writing it
    sweep_stale(path)
    assert {each.name for each in tmp_path.iterdir()} == {*names[1:], ".page[1].html.mine.tmp"}
    sweep_stale(tmp_path / "missing" / "page.html")
