"""A user's own table becomes a task, or an error that says what to mend."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lossforge.errors import DataError
from lossforge.tasks import load
from lossforge.tasks.csv_table import parse_name
from lossforge.tasks.table_options import TableOptions


@pytest.fixture
def table() -> pd.DataFrame:
    """60 rows of two numeric and one categorical column, a class and a value."""
    draws = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "width": draws.normal(5, 2, 60),
            "count": draws.integers(0, 9, 60),
            "color": draws.choice(["red", "green", "blue"], 60),
            "species": np.repeat(["cat", "dog", "owl"], 20),
            "price": draws.normal(100, 20, 60),
        }
    )


def save(table: pd.DataFrame, folder: Path) -> str:
    path = folder / "table.csv"
    table.to_csv(path, index=False)
    return str(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("csv:a.csv:y", ("a.csv", "y", None)),
        ("csv:C:/a.csv:y", ("C:/a.csv", "y", None)),
        ("csv:a.csv:y:regression", ("a.csv", "y", "regression")),
        ("csv:a.csv:y:classification", ("a.csv", "y", "classification")),
        ("csv:a.csv:regression", ("a.csv", "regression", None)),
        ("csv:a.csv:my column", ("a.csv", "my column", None)),
    ],
)
def test_names_are_taken_apart_at_the_last_colon(name, expected):
    assert parse_name(name) == (*expected, TableOptions())


def test_a_class_column_makes_a_classification_task(table, tmp_path):
    name = f"csv:{save(table, tmp_path)}:species"
    task = load(name)
    assert (task.name, str(task.kind), task.outputs) == (name, "classification", 3)
    assert task.classes == ("cat", "dog", "owl")
    # width, count, price and three colors
    assert task.input_shape == (6,)
    assert task.train.targets.bincount().tolist() == [12, 12, 12]


def test_a_numeric_column_makes_a_regression_task(table, tmp_path):
    task = load(f"csv:{save(table, tmp_path)}:price")
    assert (str(task.kind), task.outputs, task.input_shape) == ("regression", 1, (8,))
    prices = torch.tensor(table["price"].tolist(), dtype=torch.float64)
    known = prices[task.train.rows]
    expected = (prices[task.test.rows] - known.mean()) / known.std(correction=0)
    assert torch.allclose(task.test.targets[:, 0], expected.float())


def test_splits_are_disjoint_and_cover_the_table(table, tmp_path):
    task = load(f"csv:{save(table, tmp_path)}:price")
    rows = torch.cat([task.train.rows, task.valid.rows, task.test.rows])
    assert rows.sort().values.tolist() == list(range(60))


@pytest.mark.parametrize("target", ["species", "price"])
def test_poisoned_rows_outside_training_leave_training_unchanged(table, tmp_path, target):
    task = load(f"csv:{save(table, tmp_path)}:{target}")
    others = torch.cat([task.valid.rows, task.test.rows]).numpy()
    table.loc[others, "width"] = 1e9
    table.loc[others[0], "count"] = np.nan
    table.loc[others, "color"] = "never seen"
    poisoned = load(f"csv:{save(table, tmp_path)}:{target}")
    assert torch.equal(poisoned.train.rows, task.train.rows)
    assert torch.equal(poisoned.train.inputs, task.train.inputs)
    assert torch.equal(poisoned.train.targets, task.train.targets)
    assert poisoned.valid.inputs.max() > 1e6


def test_the_home_folder_and_a_byte_order_mark_are_understood(table, tmp_path, monkeypatch):
    path = save(table, tmp_path)
    Path(path).write_text(Path(path).read_text(), encoding="utf-8-sig")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load("csv:~/table.csv:species").input_shape == (6,)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty; bring a header line and rows"),
        (b"\n\n", "is empty"),
        (b"a,b,y\n", "has a header but no rows"),
        (b"a,b,y\n\xff\xfe,1,2\n", "is not UTF-8 text"),
        (b'a,b,y\n1,"2,3\n', "is damaged"),
        (b"a,b,y\n1,2,3\n1,2,3,4\n", "is damaged: Error tokenizing data"),
        (b"a,b,y\n1,2,3,4\n1,2,3,4\n", "more values than its header has names"),
        (b"a,,y\n1,2,3\n", "column 2 of"),
        (b"a,b,a,y\n1,2,3,4\n", "has two columns 'a'; rename or drop one"),
        (b"y\n1\n", "has no column but its target"),
        (b"a,b,why\n1,2,3\n", "no column of"),
    ],
)
def test_unreadable_tables_are_refused(tmp_path, content, complaint):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load(f"csv:{path}:y")
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_are_told(tmp_path):
    with pytest.raises(DataError, match=r"cannot read the table .*nothing.csv'.*No such file"):
        load(f"csv:{tmp_path}/nothing.csv:y")
    with pytest.raises(DataError, match="cannot read the table"):
        load(f"csv:{tmp_path}:y")


def test_missing_target_columns_are_told_with_the_nearest(table, tmp_path):
    path = save(table, tmp_path)
    with pytest.raises(DataError, match="is named 'prize'; did you mean 'price'"):
        load(f"csv:{path}:prize")
    with pytest.raises(DataError, match="known: color, count, price, species, width"):
        load(f"csv:{path}:zzz")


@pytest.mark.parametrize("name", ["csv:", "csv:table.csv", "csv::y", "csv:table.csv:"])
def test_malformed_names_are_refused(name):
    with pytest.raises(DataError, match="names no table; write csv:PATH:TARGET"):
        load(name)


def test_too_few_rows_are_refused(table, tmp_path):
    with pytest.raises(DataError, match="19 rows are too few"):
        load(f"csv:{save(table.tail(19), tmp_path)}:price")
    with pytest.raises(DataError, match="class 'owl' has 2 of the 3 rows"):
        load(f"csv:{save(table.head(42), tmp_path)}:species")


def test_real_table_with_gaps_and_categories(data_dir):
    path = data_dir / "california_housing" / "housing.csv"
    task = load(f"csv:{path}:median_house_value")
    # eight numbers, a mark for missing total_bedrooms, five categories
    assert (str(task.kind), task.input_shape) == ("regression", (14,))
    assert len(task.train) + len(task.valid) + len(task.test) == 20640
    missing = sum(split.inputs[:, 8].sum() for split in (task.train, task.valid, task.test))
    assert missing == 207


def test_options_decide_what_is_learned_from(table, tmp_path):
    path = save(table.assign(name=[f"n{i}" for i in range(60)]), tmp_path)
    assert load(f"csv:{path}:species:drop=color,id=name").input_shape == (3,)
    assert load(f"csv:{path}:species:category=count,id=name").input_shape[0] > 10


def test_what_was_inferred_is_logged(table, tmp_path, caplog):
    path = save(table.assign(price=[f"${p:.2f}" for p in table["price"]]), tmp_path)
    task = load(f"csv:{path}:species")
    assert len(task.notes) == 1
    assert caplog.messages == [f"note: {task.notes[0]}"]


def test_groups_stay_in_one_split(table, tmp_path):
    path = save(table.assign(patient=np.arange(60) % 20), tmp_path)
    task = load(f"csv:{path}:species:group=patient")
    held = [set((split.rows % 20).tolist()) for split in (task.train, task.valid, task.test)]
    assert sum(map(len, held)) == 20
    assert set.union(*held) == set(range(20))
    assert task.input_shape == (6,)


def test_splits_may_follow_time(table, tmp_path):
    days = pd.date_range("2024-01-01", periods=60).strftime("%d/%m/%Y").to_series().iloc[::-1]
    path = save(table.assign(sold=days.to_numpy()), tmp_path)
    task = load(f"csv:{path}:price:time=sold")
    assert task.test.rows.tolist() == list(range(12))
    assert task.train.rows.tolist() == list(range(24, 60))


def test_an_identifier_that_repeats_is_said(table, tmp_path):
    path = save(table.assign(patient=np.arange(60) % 20), tmp_path)
    notes = load(f"csv:{path}:price:id=patient").notes
    assert "id 'patient' is not unique; group=patient keeps its rows in one split" in notes


def test_rows_keep_their_numbers_where_others_are_left_out(table, tmp_path):
    table.loc[3, "price"] = np.nan
    task = load(f"csv:{save(table, tmp_path)}:price")
    rows = torch.cat([task.train.rows, task.valid.rows, task.test.rows])
    assert rows.sort().values.tolist() == [0, 1, 2, *range(4, 60)]


def test_relative_paths_begin_from_the_given_folder(table, tmp_path, monkeypatch):
    save(table, tmp_path)
    here = load("csv:table.csv:price", folder=tmp_path)
    monkeypatch.chdir(tmp_path)
    assert here.fingerprint() == load("csv:table.csv:price").fingerprint()


def test_a_wrong_option_is_told_from_a_missing_file(table, tmp_path):
    with pytest.raises(DataError, match="no option of a table is named 'dorp'; did you mean"):
        load(f"csv:{save(table, tmp_path)}:price:dorp=width")
