"""A run's checksums: of plain data whatever its types, and of every byte of its files."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossforge.errors import FileFormatError, RunError
from lossforge.runs.checksums import NAME, Checksums, digest_of, digest_of_file

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.text(min_size=1).filter(lambda name: name.splitlines() == [name])
"""as messages, which are one line, can tell them"""

configs = st.dictionaries(names, plain, max_size=4)


@given(plain)
@settings(max_examples=40)
def test_data_read_from_json_have_the_same_digest(content):
    assert digest_of(json.loads(json.dumps(content))) == digest_of(content)


@given(configs, plain)
@settings(max_examples=40)
def test_a_changed_field_is_named_and_no_other(config, value):
    begun = Checksums.of_config(config)
    begun.check_config(dict(reversed(config.items())), "config.json")
    for key in config:
        changed = config | {key: [value, "changed"]}
        with pytest.raises(RunError) as caught:
            begun.check_config(changed, "config.json")
        named = str(caught.value).split("the run began: ", 1)[1].rsplit("; restore", 1)[0]
        assert named == key
        assert Checksums.of_config(changed).fingerprint != begun.fingerprint


def test_added_and_missing_fields_are_named():
    begun = Checksums.of_config({"seed": 1, "task": "iris"})
    with pytest.raises(RunError, match="seed, steps; restore"):
        begun.check_config({"task": "iris", "steps": 5}, "config.json")


def test_they_come_back_from_disk(tmp_path):
    (tmp_path / "result.json").write_bytes(b"result")
    digests = {"result.json": digest_of_file(tmp_path / "result.json")}
    written = Checksums(Checksums.of_config({"seed": 1}).config, digests)
    written.write(tmp_path)
    read = Checksums.read(tmp_path)
    assert read == written
    read.check_files(tmp_path)
    (tmp_path / "result.json").write_bytes(b"resulu")
    with pytest.raises(FileFormatError, match=r"result\.json is damaged or was edited"):
        read.check_files(tmp_path)


def test_no_edit_of_the_checksums_themselves_passes(tmp_path):
    Checksums(Checksums.of_config({"seed": 1}).config, {"a": "0" * 64}).write(tmp_path)
    content = (tmp_path / NAME).read_text()
    for change in (("0" * 64, "1" * 64), ('"seed"', '"sown"'), ('"content"', '"contents"')):
        (tmp_path / NAME).write_text(content.replace(*change))
        with pytest.raises(FileFormatError, match="damaged"):
            Checksums.read(tmp_path)


def test_a_run_without_checksums_is_told(tmp_path):
    with pytest.raises(RunError, match=f"has no {NAME}"):
        Checksums.read(tmp_path)


@given(st.binary(max_size=64), st.binary(max_size=64))
@settings(max_examples=20)
def test_files_of_equal_bytes_have_equal_digests(tmp_path_factory, one, other):
    folder = tmp_path_factory.mktemp("files")
    (folder / "one").write_bytes(one)
    (folder / "other").write_bytes(other)
    same = digest_of_file(folder / "one") == digest_of_file(folder / "other")
    assert same == (one == other)
