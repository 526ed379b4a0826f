"""Every benchmark runs by itself and writes rows that other programs read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
NO_BENCHMARKS = {"harness", "make_zoo"}
"""what benchmarks share, and a script that measures nothing"""
BENCHMARKS = sorted(path for path in FOLDER.glob("*.py") if path.stem not in NO_BENCHMARKS)
NEEDS_HIGHER = {"adalfl", "fewshot", "hypergradient", "search"}


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda path: path.stem)
def test_it_runs(benchmark: Path, tmp_path: Path):
    if benchmark.stem in NEEDS_HIGHER:
        pytest.importorskip("higher", reason="the peer is not installed")
    rows = tmp_path / "rows.json"
    finished = subprocess.run(
        [sys.executable, str(benchmark), "--quick", "--json", str(rows)],
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(FOLDER)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout
    for row in json.loads(rows.read_text()):
        assert {"name", "peer", "ratio", "unit"} <= set(row)
        assert row["ratio"] > 0
