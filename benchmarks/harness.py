"""What all benchmarks share: fair timing, peak memory, tables.

Both sides of a comparison run in one process, in turns, so that a busy machine slows both; the
figure is the median of the turns' ratios. Memory is counted from the allocator's own events.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # read when PyTorch is loaded

import torch
from torch.profiler import ProfilerActivity, profile

from lossforge.allocator import keep_freed_memory
from lossforge.tasks import Split

Action = Callable[[], object]


SECONDS = "seconds, below 1 is better"
BYTES = "bytes, below 1 is better"
RATE = "candidates an hour, above 1 is better"


@dataclass(frozen=True)
class Row:
    """One line of a report: `name` takes `ratio` times what `peer` takes, in `unit`."""

    name: str
    peer: str
    ratio: float
    unit: str
    goal: str = ""
    figures: dict[str, float] = field(default_factory=dict)


@dataclass
class Report:
    """Rows that are printed as they come and saved at the end."""

    rows: list[Row] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, peer: str, ratio: float, unit: str = SECONDS, goal: str = "") -> None:
        """Add a row, with the figures that were noted since the last one."""
        self.rows.append(Row(name, peer, ratio, unit, goal, self.figures))
        self.figures = {}
        target = f"   goal {goal}" if goal else ""
        print(f"{name:<44} {ratio:8.3f} x {peer:<36} {unit}{target}", flush=True)

    def note(self, name: str, value: float, unit: str) -> None:
        """Note a figure that belongs to the next row."""
        self.figures[f"{name}, {unit}"] = value
        print(f"{name:<44} {value:12.4g} {unit}", flush=True)

    def save(self, path: Path | None) -> None:
        """Write the rows as a JSON list, each with the machine's class."""
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        document = [{**asdict(row), "machine": machine()} for row in self.rows]
        path.write_text(json.dumps(document, indent=2) + "\n")


def machine() -> dict[str, object]:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    return {
        "device": device or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def parse_arguments(
    description: str, *, data: bool = False, rows: Sequence[str] = ()
) -> argparse.Namespace:
    """Read the options of every benchmark, and put the process in a steady state.

    Args:
        description: of the benchmark.
        data: whether it reads data sets from a folder.
        rows: names of rows that can be measured by themselves.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer repeats and smaller sizes")
    parser.add_argument("--json", type=Path, default=None, help="where the figures are saved")
    parser.add_argument("--threads", type=int, default=2, help="threads of PyTorch")
    if data:
        parser.add_argument("--data-dir", type=Path, default=os.environ.get("LOSSFORGE_DATA"))
    if rows:
        parser.add_argument("--row", nargs="+", choices=rows, help="rows to measure; all of them")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    return arguments


def first_rows(split: Split, count: int) -> Split:
    """Return the first rows of a split."""
    return Split(split.inputs[:count], split.targets[:count], split.rows[:count])


def seconds(action: Action) -> float:
    """Return how long an action takes, in seconds."""
    _synchronize()
    start = time.perf_counter()
    action()
    _synchronize()
    return time.perf_counter() - start


def interleaved(actions: Mapping[str, Action], repeats: int, warmup: int = 2) -> dict[str, list]:
    """Return the seconds of every action in each of `repeats` turns."""
    for _ in range(warmup):
        for action in actions.values():
            action()
    turns = [{name: seconds(action) for name, action in actions.items()} for _ in range(repeats)]
    return {name: [turn[name] for turn in turns] for name in actions}


def median_ratio(ours: Sequence[float], peer: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, peer, strict=True))


def paired_ratios(ours: Action, peer: Action, repeats: int) -> float:
    """Return the median over turns of the time of `ours` by the time of `peer`."""
    times = interleaved({"ours": ours, "peer": peer}, repeats)
    return median_ratio(times["ours"], times["peer"])


def peak_bytes(action: Action) -> int:
    """Return the most memory that tensors made by an action hold at once."""
    action()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        action()
        _synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        action()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
