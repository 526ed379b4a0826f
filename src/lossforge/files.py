"""Files that survive a crash: written whole or not at all, read with `LossforgeError`s."""

import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lossforge.errors import FileFormatError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, content: object) -> None:
    """Write plain data as JSON, the same bytes for the same data."""
    write_atomically(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """Return dataclass fields, tuples and numbers as JSON can hold them.

    Infinity (the worst metric, of a run that diverged) and NaN become None, tuples become lists.

    Examples:
        >>> plain({"tests": (0.5, float("inf"))})
        {'tests': [0.5, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def read_json(path: Path) -> dict[str, object]:
    """Read a JSON object.

    Raises:
        FileFormatError: where the file is missing or is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileFormatError(f"{path} does not exist; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path} cannot be read: {error}") from None
    except (json.JSONDecodeError, RecursionError):
        raise FileFormatError(
            f"{path} is damaged: not valid JSON; restore it or make it anew"
        ) from None
    if not isinstance(content, dict):
        raise FileFormatError(f"{path} is damaged: not a JSON object; restore it or make it anew")
    return content
