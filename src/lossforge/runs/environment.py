"""What a run was computed with: versions, hardware, and the state of the code around it."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "sympy")
PATIENCE = 2.0
"""seconds that git may take"""


def describe_environment(folder: Path, device: str = "cpu") -> dict[str, str]:
    """Return versions and hardware by name, and the commit of the code where git keeps it.

    Nothing in it tells who ran it: no names of users, machines or folders.

    Args:
        folder: where the user's code is.
        device: on which networks were trained.

    Examples:
        >>> sorted(describe_environment(Path("/")))[:3]
        ['Python', 'cores', 'device']
    """
    import torch

    found = {"Python": platform.python_version(), "system": platform.platform(terse=True)}
    found |= {name: told for name in PACKAGES if (told := _version(name))}
    found |= {
        "processor": _processor(),
        "cores": str(_cores()),
        "threads": str(torch.get_num_threads()),
    }
    place = torch.device(device)
    is_gpu = place.type == "cuda" and torch.cuda.is_available()
    found["device"] = torch.cuda.get_device_name(place) if is_gpu else device
    commit = _commit(folder)
    return found | ({"git commit": commit} if commit else {})


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    """Return the processor's name, or its architecture where the system does not tell it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _commit(folder: Path) -> str:
    """Return the commit that a folder's repository is at; empty without git or repository."""

    def git(*words: str) -> str:
        finished = subprocess.run(
            ["git", "-C", str(folder), *words],
            check=True,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return finished.stdout.strip()

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{commit}, with changes that are not committed" if changed else commit
