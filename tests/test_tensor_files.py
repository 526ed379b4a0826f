import io
import pickle
import zipfile

import pytest
import torch

from lossforge.errors import FileFormatError
from lossforge.tensor_files import load_tensors


def written(content):
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def repacked(data, change, compression=zipfile.ZIP_STORED):
    """Return an archive with each of its files changed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return stream.getvalue()


def test_what_was_saved_is_read():
    content = {"a": torch.arange(3), "b": [1, (2.5, None)], "c": torch.nn.Linear(2, 1).state_dict()}
    found = load_tensors(written(content))
    assert found["a"].equal(content["a"])
    assert found["b"] == content["b"]
    assert found["c"]["weight"].equal(content["c"]["weight"])


@pytest.mark.parametrize("data", [b"", b"text", b"PK\x03\x04", pickle.dumps({"a": 1})])
def test_what_torch_did_not_write_is_refused_in_a_line(data):
    with pytest.raises(FileFormatError) as found:
        load_tensors(data)
    assert str(found.value)
    assert "\n" not in str(found.value)


def test_a_compressed_archive_is_refused():
    """A few bytes of it may stand for gigabytes."""
    whole = written({"a": torch.zeros(1000)})
    assert load_tensors(repacked(whole, lambda name, data: data))["a"].shape == (1000,)
    with pytest.raises(FileFormatError, match="larger than the file"):
        load_tensors(repacked(whole, lambda name, data: data, zipfile.ZIP_DEFLATED))


def test_an_array_of_any_length_is_refused():
    class Long:
        def __reduce__(self):
            return bytearray, (10**9,)

    bomb = pickle.dumps(Long(), protocol=2)
    packed = repacked(written(1), lambda name, data: bomb if name.endswith("data.pkl") else data)
    with pytest.raises(FileFormatError, match="other objects"):
        load_tensors(packed)


def test_a_class_of_another_kind_is_refused():
    with pytest.raises(FileFormatError):
        load_tensors(written(io.StringIO("text")))
