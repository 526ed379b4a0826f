"""Losses as files: a small JSON object that holds no code and is read without executing any.

The weights of a loss network stand beside it, as safetensors under the same name.
"""

import hashlib
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError

from lossforge.errors import FileFormatError, LossforgeError, one_line
from lossforge.files import read_json, read_regular, write_atomically, write_json
from lossforge.losses.expression import PRIMITIVES, parse
from lossforge.losses.handcrafted import HANDCRAFTED, OBJECTIVES
from lossforge.losses.loss import Loss, Reduction
from lossforge.losses.neural import Architecture, NeuralLoss
from lossforge.losses.parametric import ParametricLoss
from lossforge.losses.symbolic import SymbolicLoss
from lossforge.tasks.kinds import IGNORED

FORMAT = "lossforge.loss"
FORMAT_VERSION = 1

MOST_BYTES = 16 << 20
"""of a loss's JSON file; the longest expressions that are read take a part of it"""

MOST_WEIGHTS = 10_000_000
"""of a loss network that is loaded: 40 MB, far above any that a search makes"""

HEADER_BYTES = 1 << 20
"""of a safetensors file besides its weights"""


def save(loss: Loss, path: str | Path) -> None:
    """Write a loss to a JSON file, replacing what is there.

    Examples:
        >>> import tempfile, lossforge as lf
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(lf.losses.Huber(delta=0.5), f"{folder}/loss.json")
        ...     print(load(f"{folder}/loss.json"))
        huber:delta=0.5
    """
    path, document = Path(path), to_document(loss)
    if weights := loss.weights():
        content = safetensors.torch.save({k: v.cpu().contiguous() for k, v in weights.items()})
        write_atomically(_weights_path(path), content)
        document["weights"] = _digest(content)
    write_json(path, document)


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
    document = read_json(path, MOST_BYTES)
    digest = document.pop("weights", None)
    loss = from_document(document, str(path), reduction)
    if loss.weights():
        _load_weights(loss, _weights_path(path), digest)
    return loss


def to_document(loss: Loss) -> dict[str, object]:
    """Return the content of a loss's file."""
    return {"format": FORMAT, "version": FORMAT_VERSION, **loss.definition(), **_labels(loss)}


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
    _require_primitives(fields.pop("primitives", []), source)
    weight, ignore_index = fields.pop("weight", None), fields.pop("ignore_index", None)
    name = fields.pop("type", None)
    if not isinstance(name, str) or name not in (known := _builders()):
        raise FileFormatError(f"{source} holds a loss of unknown type {name!r}")
    try:
        return _with_labels(known[name](fields, reduction), weight, ignore_index)
    except (LossforgeError, TypeError, KeyError, ValueError, OverflowError) as error:
        raise FileFormatError(
            f"{source} is damaged: {_brief(error)}; restore it or make it anew"
        ) from None


def digest(loss: Loss) -> str:
    """Return the SHA-256 of a loss: of its definition and its weights, bit for bit.

    Examples:
        >>> import lossforge as lf
        >>> digest(lf.losses.Huber(0.5)) == digest(lf.losses.Huber(0.6))
        False
    """
    found = hashlib.sha256(json.dumps(to_document(loss), sort_keys=True).encode())
    for name, weights in sorted(loss.weights().items()):
        found.update(name.encode())
        found.update(weights.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _labels(loss: Loss) -> dict[str, object]:
    """Return what a user set of the labels, as plain data."""
    found: dict[str, object] = {}
    if loss.weight is not None:
        found["weight"] = loss.weight.tolist()
    if loss.ignore_index not in (None, IGNORED):
        found["ignore_index"] = loss.ignore_index
    return found


def _with_labels(loss: Loss, weight: object, ignore_index: object) -> Loss:
    if weight is not None:
        loss.weight = torch.tensor(weight, dtype=torch.float)
    if ignore_index is not None:
        if not isinstance(ignore_index, int):
            raise TypeError("ignore_index must be an integer")
        loss.kind = loss.kind.with_ignore_index(ignore_index)
    return loss


def _require_primitives(names: object, source: str) -> None:
    """Raise `FileFormatError` unless the functions that a loss needs are registered."""
    for name in names if isinstance(names, list) else [names]:
        if name not in PRIMITIVES:
            raise FileFormatError(
                f"{source} uses the primitive {name!r}, which is not registered; call "
                "lossforge.register_primitive before loading it"
            )


def _load_weights(loss: Loss, path: Path, digest: object) -> None:
    if not path.exists():
        raise FileFormatError(f"{path} is missing: it holds the loss's weights")
    values = sum(each.numel() * each.element_size() for each in loss.weights().values())
    content = read_regular(path, values + HEADER_BYTES)
    if _digest(content) != digest:
        raise FileFormatError(f"{path} is damaged or another loss's; restore it or make it anew")
    try:
        loss.load_state_dict(safetensors.torch.load(content))
    except (SafetensorError, RuntimeError) as error:
        raise FileFormatError(f"{path} does not fit its loss: {_brief(error)}") from None
    if not all(bool(each.isfinite().all()) for each in loss.weights().values()):
        raise FileFormatError(f"{path} holds weights that are not finite; make it anew")


def _weights_path(path: Path) -> Path:
    return path.with_suffix(".safetensors")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _brief(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"field {error} is missing"
    return one_line(error)[:200]


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


def _neural(fields: dict[str, object], reduction: Reduction) -> Loss:
    kind, hidden = fields.pop("kind"), fields.pop("hidden")
    if not isinstance(hidden, list):
        raise TypeError("hidden must be a list of widths")
    widths = [int(width) for width in hidden]
    # Before anything is allocated: a small file may ask for a large network.
    if sum(a * b for a, b in pairwise([2, *widths, 1])) > MOST_WEIGHTS:
        raise ValueError(f"hidden asks for more than {MOST_WEIGHTS} weights")
    architecture: Callable[..., Architecture] = Architecture
    return NeuralLoss(
        architecture(tuple(widths), **fields),
        kind=kind,  # type: ignore[arg-type]  # checked by the loss
        reduction=reduction,
    )


def _builders() -> dict[str, Callable[[dict[str, object], Reduction], Loss]]:
    handcrafted = {name: loss.from_definition for name, loss in HANDCRAFTED.items()}
    objectives = {name: loss.from_definition for name, loss in OBJECTIVES.items()}
    return {
        "symbolic": _symbolic,
        "neural": _neural,
        "parametric": ParametricLoss.from_definition,
        **handcrafted,
        **objectives,
    }
