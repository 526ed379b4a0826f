"""The program on a CSV file of one's own: the target is a number, so this is regression."""

import csv
import random
import tempfile
from pathlib import Path

from lossforge.cli import main

draw = random.Random(0)
with tempfile.TemporaryDirectory() as folder:
    table = Path(folder) / "houses.csv"
    with table.open("w", newline="") as stream:
        sheet = csv.writer(stream)
        sheet.writerow(["area", "rooms", "quarter", "price"])
        for _ in range(300):
            area, rooms, quarter = draw.uniform(30, 200), draw.randint(1, 6), draw.choice("NSE")
            price = 3 * area + 20 * rooms + 50 * (quarter == "N") + draw.gauss(0, 30)
            sheet.writerow([f"{area:.1f}", rooms, quarter, f"{price:.0f}"])
    small = ["--population", "6", "--generations", "2", "--meta-steps", "10"]
    small += ["--fitness-steps", "60", "--compare-steps", "100", "--model", "mlp:width=32"]
    task = ["--task", f"csv:{table}:price", "--out", str(Path(folder) / "run")]
    status = main(["search", "evomal", *task, *small])
    raise SystemExit(status)
