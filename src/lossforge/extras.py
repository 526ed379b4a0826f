"""Optional packages: which extra installs them, and what to say where they are missing."""

from importlib.util import find_spec

from lossforge.errors import MissingPackageError

PACKAGES: dict[str, tuple[str, ...]] = {
    "tables": ("pandas",),
    "parquet": ("pandas", "pyarrow"),
    "images": ("pandas", "pyarrow", "PIL"),
    "hub": ("datasets", "PIL"),
    "share": ("huggingface_hub",),
    "plots": ("matplotlib",),
    "ray": ("ray",),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
    "lightning": ("lightning",),
    "transformers": ("transformers", "accelerate"),
}
"""modules that each extra of pyproject.toml installs and that a feature imports on use"""


def has_extra(extra: str) -> bool:
    """Tell whether all packages of an extra are installed, without importing them.

    Examples:
        >>> has_extra("plots")
        True
    """
    return not _missing(extra)


def require_extra(extra: str, purpose: str) -> None:
    """Check that all packages of an extra are installed, without importing them.

    Args:
        extra: a key of `PACKAGES`.
        purpose: what needs it, in the singular, with which the message begins.

    Raises:
        MissingPackageError: a package is not installed.

    Examples:
        >>> require_extra("plots", "a plot")
    """
    if missing := _missing(extra):
        raise MissingPackageError(
            f"{purpose} needs {' and '.join(missing)}; install it with: "
            f"pip install 'lossforge[{extra}]'"
        )


def require_package(package: str, purpose: str) -> None:
    """Check that a package is installed that no extra brings, because its build must fit torch's.

    Raises:
        MissingPackageError: it is not.

    Examples:
        >>> require_package("torch", "a network")
    """
    if find_spec(package) is None:
        raise MissingPackageError(
            f"{purpose} needs {package}; install it with: pip install {package}"
        )


def _missing(extra: str) -> list[str]:
    return [package for package in PACKAGES[extra] if find_spec(package) is None]
