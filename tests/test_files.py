"""Files are written whole or not at all."""

import pytest

from lossforge.errors import FileFormatError
from lossforge.files import read_json, write_atomically, write_json


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
    [(b"{", "not valid JSON"), (b"[1]", "not a JSON object"), (b"\xff", "cannot be read")],
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
