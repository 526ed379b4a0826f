"""Errors of lossforge: one line each, naming the culprit and the remedy."""

from collections.abc import Iterable
from difflib import get_close_matches


class LossforgeError(Exception):
    """Base of every error that a user can cause and mend.

    The message is one line; the command line prints it as ``lossforge: MESSAGE`` and exits with 2.
    """

    def __str__(self) -> str:
        # Names that it tells, of columns and files, may hold line breaks.
        return " ".join(super().__str__().splitlines())


class ConfigurationError(LossforgeError):
    """A hyper-parameter is out of its range, or two of them do not fit together."""


class UnknownNameError(LossforgeError):
    """A task, model, loss or method of that name does not exist."""


class DataError(LossforgeError):
    """Data are missing, damaged or unfit for the task."""


class DivergedError(DataError):
    """A loss, its slope or the network's outputs are not finite."""


class NoCandidateError(LossforgeError):
    """No candidate of a search could train a network."""


class ExpressionError(LossforgeError):
    """A symbolic expression cannot be read or is not well formed."""


class FileFormatError(LossforgeError):
    """A saved file is missing, damaged or of another format."""


class MissingPackageError(LossforgeError, ImportError):
    """A feature needs an optional package that is not installed."""


class RunError(LossforgeError):
    """A run's folder cannot be used as asked."""


def one_line(error: BaseException) -> str:
    """Return the message of an error of another library as one line; its class where it has none.

    Examples:
        >>> one_line(ValueError("no\\n  luck")), one_line(KeyError())
        ('no luck', 'KeyError')
    """
    return " ".join(str(error).split()) or type(error).__name__


def unknown_name(what: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Return the error for an unknown name, with the nearest known one or all of them.

    Examples:
        >>> str(unknown_name("task", "digit", ["digits", "wine"]))
        "no task is named 'digit'; did you mean 'digits'?"
        >>> str(unknown_name("task", "x", ["digits", "wine"]))
        "no task is named 'x'; known: digits, wine"
    """
    known = sorted(known)
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return UnknownNameError(f"no {what} is named {name!r}; {hint}")
