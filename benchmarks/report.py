"""Size of the page of a search of 1,250 candidates, and the time that Chromium takes to open it.

The search is made up: the page does not depend on how the candidates were found. Needs
playwright (`pip install 'lossforge[browser]'`) and Chromium for the time.

    python benchmarks/report.py --candidates 1250
"""

import argparse
import random
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from lossforge.experiments.tables import Table
from lossforge.files import write_json
from lossforge.losses import SymbolicLoss
from lossforge.report import Facts, write_page

FORMULA = "26.11*(0.9279*p - 0.5505*y)*log(0.996*p)"
GENERATIONS = 50
TABLE_ROWS = 20
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def made_up(candidates: int, folder: Path) -> Facts:
    """Return a search of so many candidates, all trained to the end, with its checkpoint."""
    draw = random.Random(0)
    evaluations = []
    for index in range(candidates):
        size = draw.randint(3, 31)
        expression = "add(mul(p, y), tanh(log(p)))" * 8  # longer than a page shows
        document = {"expression": expression, "coefficients": [1.0] * size}
        fitness = 0.02 + 0.9 * draw.random() ** 3 / size
        evaluations.append([document, index, [fitness, None, None]])
    state = {"archive": {"evaluations": evaluations}}
    write_json(folder / "checkpoint.json", {"content": {"state": state}})
    best = sorted((len(d["coefficients"]), f, d["expression"]) for d, _, (f, *_) in evaluations)
    front = [{"size": s, "fitness": f, "loss": e} for i, (s, f, e) in enumerate(best)
             if f < min((g for _, g, _ in best[:i]), default=1.0)]  # fmt: skip
    tests = [0.02 + 0.01 * draw.random() for _ in range(5)]
    names = ("cross_entropy", "label_smoothing:smoothing=0.1", "focal:gamma=2")
    rivals = [
        {"name": name, "rate": 0.03, "valid": 0.03, "test": sum(tests) / 5, "tests": tests}
        for name in names
    ]
    counts = {"candidates": candidates, "in full": candidates, "trained": candidates}
    result = {
        "method": "evomal", "task": "digits", "model": "mlp", "metric": "error_rate", "seed": 0,
        "version": "0.1.0", "outputs": 10, "rate": 0.01, "valid": 0.02, "test": 0.025,
        "tests": tests, "rivals": rivals, "baseline": rivals[0], "front": front, "counts": counts,
        "recommended": {"name": "learned", "rate": 0.01},
    }  # fmt: skip
    history = [{"generation": g, "best": 0.5 / g} for g in range(1, GENERATIONS + 1)]
    rows = tuple((r["loss"], str(r["size"]), f"{r['fitness']:.4f}") for r in front[:TABLE_ROWS])
    table = Table("best loss of each size", ("loss", "size", "error_rate"), rows, 1)
    losses = {"learned": SymbolicLoss(FORMULA)}
    return Facts({"command": "search"}, result, history, losses, [table], path=folder)


def seconds_to_open(page: Path, times: int) -> float:
    """Return the median time until Chromium, already running, has loaded and laid out a page."""
    from playwright.sync_api import sync_playwright

    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    taken = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        for _ in range(times):
            tab = browser.new_page(viewport={"width": 1440, "height": 900})
            began = time.perf_counter()
            tab.goto(page.as_uri(), wait_until="load")
            tab.evaluate("document.body.getBoundingClientRect().height")
            taken.append(time.perf_counter() - began)
            tab.close()
        browser.close()
    return median(taken)


def main() -> None:
    """Print both figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=1250, help="of the search")
    parser.add_argument("--times", type=int, default=5, help="how often the page is opened")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        began = time.perf_counter()
        write_page(made_up(options.candidates, Path(folder)), page)
        print(f"written in {time.perf_counter() - began:.2f} s")
        dots = page.read_text(encoding="utf-8").count("<circle")
        print(f"{page.stat().st_size / 1e6:.2f} MB, {dots} dots of {options.candidates} candidates")
        print(f"opened in {seconds_to_open(page, options.times):.2f} s (median of {options.times})")


if __name__ == "__main__":
    main()
