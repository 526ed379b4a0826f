import json
from types import SimpleNamespace

import pytest

from lossforge.cli.printing import Printing, print_as, terminal_width
from lossforge.experiments.tables import Table

TABLES = [Table("errors", ("loss", "mean"), (("focal", "0.25"), ("mse ± 1", "0.5")), 1)]


@pytest.mark.parametrize(("columns", "width"), [("57", 57), (None, 80)])
def test_the_width_is_the_terminal_s(columns, width, monkeypatch):
    monkeypatch.setattr("sys.__stdout__", None)
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    assert terminal_width() == width


def test_json_is_the_document_alone(capsys):
    print_as("json", TABLES, {"loss": "±", "test": 0.5})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"loss": "±", "test": 0.5}
    assert "±" in printed
    with pytest.raises(ValueError, match="Out of range"):
        print_as("json", TABLES, {"test": float("inf")})


def test_tables_are_text_or_markdown(capsys):
    print_as("plain", TABLES, {})
    assert capsys.readouterr().out == f"\n{TABLES[0].plain(terminal_width())}\n"
    print_as("markdown", TABLES, {})
    assert capsys.readouterr().out == TABLES[0].markdown()


def test_a_report_is_printed_in_its_form(capsys):
    report = SimpleNamespace(tables=lambda: TABLES, result={"test": 0.5})
    Printing().report(report, lambda each: print("in plain", each.result["test"]))
    assert capsys.readouterr().out == "in plain 0.5\n"
    Printing("json").report(report, pytest.fail)
    assert json.loads(capsys.readouterr().out) == {"test": 0.5}
    Printing("markdown").report(report, pytest.fail)
    assert capsys.readouterr().out == TABLES[0].markdown()
