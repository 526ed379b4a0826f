import ctypes
import platform

import pytest

from lossforge.allocator import KEEP_BELOW, keep_freed_memory


class Library:
    def __init__(self) -> None:
        self.settings: dict[int, int] = {}

    def mallopt(self, option: int, value: int) -> None:
        self.settings[option] = value


@pytest.mark.parametrize(
    ("library", "settings"),
    # malloc.h: M_MMAP_THRESHOLD is -3 and M_TRIM_THRESHOLD is -1.
    [("glibc", {-3: KEEP_BELOW, -1: KEEP_BELOW}), ("musl", {}), ("", {})],
)
def test_only_glibc_is_told_to_keep_freed_memory(library, settings, monkeypatch):
    loaded = Library()
    monkeypatch.setattr(platform, "libc_ver", lambda: (library, "2.36"))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: loaded)
    keep_freed_memory()
    assert loaded.settings == settings
