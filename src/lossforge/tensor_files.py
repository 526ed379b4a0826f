"""What `torch.save` wrote, read so that nothing is executed and no small file takes much memory.

``weights_only=True`` alone restricts what is unpickled, but not the memory that it takes: an
archive may be compressed, and a `bytearray` may be of any length.
"""

import io
import zipfile
from typing import Any

import torch

from lossforge.errors import FileFormatError, one_line

PICKLE = "data.pkl"
"""the file of an archive that says which tensors there are"""


def load_tensors(content: bytes, device: torch.device | str | None = None) -> Any:
    """Return tensors and plain data from the bytes that `torch.save` wrote.

    Args:
        content: of the file.
        device: where tensors go; by default where they were.

    Raises:
        FileFormatError: the bytes are damaged, or are not what `torch.save` writes. It names no
            file: whoever knows it adds it.

    Examples:
        >>> stream = io.BytesIO()
        >>> torch.save({"step": 3, "weight": torch.ones(2)}, stream)
        >>> load_tensors(stream.getvalue())
        {'step': 3, 'weight': tensor([1., 1.])}
    """
    try:
        _require_plain(content)
        return torch.load(io.BytesIO(content), device, weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise FileFormatError(one_line(error)[:200]) from None


def _require_plain(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        is_packed = any(each.compress_type != zipfile.ZIP_STORED for each in members)
        if is_packed or sum(each.file_size for each in members) > len(content):
            raise FileFormatError("its parts are larger than the file")
        for each in members:
            if each.filename.endswith(PICKLE) and b"bytearray" in archive.read(each):
                raise FileFormatError("it holds other objects than tensors")
