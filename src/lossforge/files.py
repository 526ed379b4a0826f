"""Files that survive a crash: written whole or not at all, read with errors of ours."""

import json
import os
import tempfile
from pathlib import Path

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
