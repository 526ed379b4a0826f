"""The kinds by name."""

from collections.abc import Mapping
from types import MappingProxyType

from lossforge.errors import ConfigurationError
from lossforge.tasks.kinds.classification import Classification
from lossforge.tasks.kinds.kind import Kind
from lossforge.tasks.kinds.multilabel import MultiLabel
from lossforge.tasks.kinds.regression import Regression

KINDS: Mapping[str, type[Kind]] = MappingProxyType(
    {kind.name: kind for kind in (Classification, MultiLabel, Regression)}
)
"""The kinds by name; a line here registers one."""


def as_kind(kind: Kind | str) -> Kind:
    """Return a kind by its name, or as it is.

    Raises:
        ConfigurationError: there is no such kind.

    Examples:
        >>> as_kind("multilabel")
        MultiLabel(ignore_index=-100)
    """
    if isinstance(kind, Kind):
        return kind
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigurationError(f"kind must be {' or '.join(KINDS)}, not {kind!r}")
    return KINDS[kind]()
