"""Losses as files: a small JSON object that holds no code and is read without executing any."""

from collections.abc import Callable
from pathlib import Path

from lossforge.errors import FileFormatError, LossforgeError
from lossforge.files import read_json, write_json
from lossforge.losses.expression import parse
from lossforge.losses.handcrafted import HANDCRAFTED
from lossforge.losses.loss import Loss, Reduction
from lossforge.losses.symbolic import SymbolicLoss

FORMAT = "lossforge.loss"
FORMAT_VERSION = 1


def save(loss: Loss, path: str | Path) -> None:
    """Write a loss to a JSON file, replacing what is there.

    Examples:
        >>> import tempfile, lossforge as lf
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(lf.losses.Huber(delta=0.5), f"{folder}/loss.json")
        ...     print(load(f"{folder}/loss.json"))
        huber:delta=0.5
    """
    write_json(Path(path), to_document(loss))


def load(path: str | Path, *, reduction: Reduction = "mean") -> Loss:
    """Read a loss from its file, or from the folder of the run that found it.

    Args:
        path: a loss file, or a folder that holds ``loss.json``.
        reduction: of the loss returned; a property of its use, so the file does not hold it.

    Raises:
        FileFormatError: where the file is missing, damaged, or no loss of a known format.
    """
    path = Path(path)
    path = path / "loss.json" if path.is_dir() else path
    return from_document(read_json(path), str(path), reduction)


def to_document(loss: Loss) -> dict[str, object]:
    """Return the content of a loss's file."""
    return {"format": FORMAT, "version": FORMAT_VERSION, **loss.definition()}


def from_document(document: dict[str, object], source: str, reduction: Reduction = "mean") -> Loss:
    """Build a loss from the content of its file; `source` names it in errors."""
    fields = dict(document)
    if fields.pop("format", None) != FORMAT:
        raise FileFormatError(f"{source} is not a loss file: its format is not {FORMAT!r}")
    version = fields.pop("version", None)
    if version != FORMAT_VERSION:
        raise FileFormatError(
            f"{source} is of format version {version}, this lossforge reads {FORMAT_VERSION}; "
            "install the version that wrote it"
        )
    name = fields.pop("type", None)
    if not isinstance(name, str) or name not in _BUILDERS:
        raise FileFormatError(f"{source} holds a loss of unknown type {name!r}")
    try:
        return _BUILDERS[name](fields, reduction)
    except (LossforgeError, TypeError, KeyError, ValueError, OverflowError) as error:
        raise FileFormatError(
            f"{source} is damaged: {_brief(error)}; restore it or make it anew"
        ) from None


def _brief(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"field {error} is missing"
    return str(error).splitlines()[0]


def _expect_only(fields: dict[str, object], known: set[str]) -> None:
    if unknown := set(fields) - known:
        raise ValueError(f"unknown field {min(unknown)!r}")


def _symbolic(fields: dict[str, object], reduction: Reduction) -> Loss:
    _expect_only(fields, {"kind", "expression", "coefficients", "softplus"})
    coefficients, softplus = fields["coefficients"], fields["softplus"]
    if not isinstance(coefficients, list) or not isinstance(softplus, bool):
        raise TypeError("coefficients must be a list and softplus true or false")
    return SymbolicLoss(
        parse(str(fields["expression"])),
        [float(value) for value in coefficients],
        kind=fields["kind"],  # type: ignore[arg-type]  # checked by the loss
        softplus=softplus,
        reduction=reduction,
    )


def _handcrafted(name: str) -> Callable[[dict[str, object], Reduction], Loss]:
    def build(fields: dict[str, object], reduction: Reduction) -> Loss:
        options = {key: float(value) for key, value in fields.items()}  # type: ignore[arg-type]
        loss: Callable[..., Loss] = HANDCRAFTED[name]
        return loss(**options, reduction=reduction)

    return build


_BUILDERS: dict[str, Callable[[dict[str, object], Reduction], Loss]] = {
    "symbolic": _symbolic,
    **{name: _handcrafted(name) for name in HANDCRAFTED},
}
