"""Output that never ends a run: neither a reader that has gone nor an encoding without ± does."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, final

ASCII = str.maketrans(
    {
        **dict.fromkeys("─━–−‐—╌", "-"),  # noqa: RUF001
        **dict.fromkeys("│┃", "|"),
        **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼╴╸╺", "+"),
        **dict.fromkeys("“”", '"'),
        **dict.fromkeys("‘’", "'"),  # noqa: RUF001
        **{"±": "+-", "×": "x", "·": "*", "…": "...", "→": "->", "≤": "<=", "≥": ">="},  # noqa: RUF001
        **{"²": "^2", "³": "^3", "√": "sqrt", "∞": "inf", "σ": "sigma", "λ": "lambda"},  # noqa: RUF001
    }
)
"""what stands for characters that ASCII lacks"""


def fall_back(text: str, encoding: str) -> str:
    r"""Return text that an encoding can hold; characters without a likeness become escapes.

    Examples:
        >>> fall_back("0.1 ± 0.2 ─ 猫", "ascii")
        '0.1 +- 0.2 - \\u732b'
    """
    return text.translate(ASCII).encode(encoding, "backslashreplace").decode(encoding)


@final
class ForgivingStream:
    """A text stream that writes what it can.

    Where the reader has gone, as `| head` does, the rest is discarded. Everything else is the
    stream's own.

    Args:
        stream: to write to.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, in the likeness that the stream's encoding allows."""
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            self._stream.write(fall_back(text, self._stream.encoding or "ascii"))
        except BrokenPipeError:
            self.silence()
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self.silence()

    def silence(self) -> None:
        """Discard what is written from now on, and what is still to be passed on."""
        with suppress(OSError, ValueError):  # what is no file, as in tests, cannot break either
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def occupy_standard_streams() -> None:
    """Open standard streams that the program was started without, as by ``>&-``, on nothing.

    Otherwise the next file that is opened would take the number of one of them, and what is
    written to standard output or standard error by number would end up in that file.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The system gives the lowest number that is free, which is this one.
            os.open(os.devnull, os.O_RDWR)


@contextmanager
def forgiving_output() -> Iterator[None]:
    """Make standard output and standard error forgiving inside a `with` block.

    Raises:
        OSError: at the end, where standard output cannot hold what was written to it.
    """
    before = sys.stdout, sys.stderr
    # A stream is None where the program was started without one.
    own = [None if stream is None else ForgivingStream(stream) for stream in before]
    sys.stdout, sys.stderr = own
    try:
        yield
        for stream in own:
            if stream is not None:
                _pass_on(stream)
    finally:
        sys.stdout, sys.stderr = before


def _pass_on(stream: ForgivingStream) -> None:
    try:
        stream.flush()
    except OSError:
        # The interpreter would try again as it ends, and end with a traceback.
        stream.silence()
        raise
