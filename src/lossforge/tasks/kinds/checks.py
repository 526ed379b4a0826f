"""What kinds check alike: types of targets, names of classes."""

from torch import Tensor

from lossforge.tasks.kinds.kind import Kind, Require


def check_type(
    kind: Kind, part: str, targets: Tensor, fits: bool, needed: str, need: Require
) -> None:
    """Check the type of the targets of a split named `part`."""
    found = f"{str(targets.dtype).removeprefix('torch.')} {list(targets.shape)}"
    need(fits, f"{part} targets are {found}, but {kind} needs {needed}")


def check_names(names: tuple[str, ...], outputs: int, need: Require) -> None:
    """Check that there is a name for each output, or none."""
    need(len(names) in (0, outputs), f"{len(names)} names for {outputs} classes; name each")
