"""What a run was begun with and what it wrote, as SHA-256, so that nothing is mixed in silence."""

import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from lossforge.errors import FileFormatError, RunError
from lossforge.files import read_json, write_json

NAME = "checksums.json"


@final
@dataclass(frozen=True)
class Checksums:
    """The content of a run's ``checksums.json``.

    Attributes:
        config: SHA-256 of each field of the configuration.
        files: SHA-256 of each file of a complete run, by name; empty before.
    """

    config: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> "Checksums":
        """Return those of a run that begins.

        Examples:
            >>> len(Checksums.of_config({"seed": 1}).fingerprint)
            64
        """
        return cls({key: digest_of(value) for key, value in config.items()})

    @classmethod
    def read(cls, folder: Path) -> "Checksums":
        """Read those of a run.

        Raises:
            FileFormatError: they are damaged.
            RunError: there are none.
        """
        path = folder / NAME
        if not path.exists():
            raise RunError(
                f"{folder} has no {NAME}: an earlier version began it, or the file was lost; "
                "begin anew with --overwrite"
            )
        saved = read_json(path)
        content, checksum = saved.get("content"), saved.get("checksum")
        if not isinstance(content, dict) or checksum != digest_of(content):
            raise FileFormatError(f"{path} is damaged; restore it, or begin anew with --overwrite")
        return cls(content["config"], content["files"])

    def write(self, folder: Path) -> None:
        """Write them into a run's folder."""
        content = {"config": dict(self.config), "files": dict(self.files)}
        write_json(folder / NAME, {"checksum": digest_of(content), "content": content})

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the whole configuration: of settings, version, data and losses."""
        return digest_of(dict(self.config))

    def check_config(self, config: Mapping[str, Any], path: Path) -> None:
        """Raise `RunError` where a configuration is not the one that the run was begun with."""
        now = Checksums.of_config(config).config
        changed = [key for key in {**self.config, **now} if self.config.get(key) != now.get(key)]
        if changed:
            raise RunError(
                f"{path} was changed after the run began: {', '.join(sorted(changed))}; "
                "restore it, or begin anew with --overwrite"
            )

    def check_files(self, folder: Path, needed: Container[str] = ()) -> None:
        """Check the files of a complete run.

        Args:
            folder: of the run.
            needed: names of files that nobody may remove.

        Raises:
            FileFormatError: a file is not as it was written, or one that is needed is missing.
        """
        for name, digest in self.files.items():
            path = folder / name
            if name in needed and not path.is_file():
                raise FileFormatError(
                    f"{path} is missing; restore it, or begin anew with --overwrite"
                )
            if path.is_file() and digest_of_file(path) != digest:
                raise FileFormatError(
                    f"{path} is damaged or was edited: its checksum does not match; restore it, "
                    "or begin anew with --overwrite"
                )


def digest_of(content: object) -> str:
    """Return the SHA-256 of plain data, the same whether it was read from JSON or not.

    Examples:
        >>> digest_of({"a": (1, 2)}) == digest_of({"a": [1, 2]})
        True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
