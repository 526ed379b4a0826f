"""Regression is also reported in the target's own unit."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lossforge as lf
from lossforge.cli import INTERRUPTED, main
from lossforge.runs import RunFolder

STEPS = ["--model", "linear", "--steps", "4", "--check-every", "2"]


@pytest.fixture
def houses(tmp_path: Path) -> pd.DataFrame:
    draws = np.random.default_rng(0)
    size = draws.normal(100, 20, 60)
    table = pd.DataFrame({"size": size, "price": 3000 * size + draws.normal(0, 9e3, 60)})
    table.to_csv(tmp_path / "houses.csv", index=False)
    return table


def test_rmse_is_that_of_predictions_in_the_data_s_unit(houses, tmp_path):
    task = lf.tasks.load(f"csv:{tmp_path}/houses.csv:price")
    report = lf.train(task, model="linear", steps=20, progress=False)
    prices = houses["price"].to_numpy()
    known = prices[task.train.rows]
    predicted = report.network(task.test.inputs).detach().numpy()[:, 0] * known.std() + known.mean()
    expected = np.sqrt(np.mean((predicted - prices[task.test.rows]) ** 2))
    units = report.result["original_units"]
    assert units["metric"] == "rmse"
    assert units["test"] == pytest.approx(expected, rel=1e-5)


def test_the_last_line_and_the_table_tell_it(houses, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--task", "csv:houses.csv:price", *STEPS, "--out", "a"]) == 0
    assert "in the unit of the target)" in capsys.readouterr().out
    words = ["compare", "--losses", "mse", "--seeds", "1", "--task", "csv:houses.csv:price"]
    assert main([*words, *STEPS, "--out", "b"]) == 0
    assert "In the unit of the target, the rmse is" in capsys.readouterr().out
    result = json.loads((tmp_path / "b" / "result.json").read_text())
    assert result["target_scales"]["csv:houses.csv:price"] > 1e4


def test_classification_has_no_unit():
    report = lf.train("iris", model="linear", steps=2, progress=False)
    assert "original_units" not in report.result


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("command", ["train", "compare"])
def test_a_run_on_a_relative_path_goes_on_from_another_folder(
    houses, tmp_path, monkeypatch, command, capsys
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    words = [command, "--task", "csv:houses.csv:price", *STEPS]
    words += ["--losses", "mse", "--seeds", "1"] if command == "compare" else ["--loss", "mse"]
    assert main([*words, "--out", "whole"]) == 0
    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "write_result", interrupt)
        assert main([*words, "--out", "part"]) == INTERRUPTED
    monkeypatch.chdir(tmp_path / "elsewhere")
    status = main(["resume", "../part"])
    said = capsys.readouterr().err
    assert status == 0, said
    whole, part = (
        json.loads((tmp_path / run / "result.json").read_text()) | {"seconds": 0}
        for run in ("whole", "part")
    )
    assert part == whole
