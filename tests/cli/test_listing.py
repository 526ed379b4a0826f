import json

import pytest

from lossforge.cli import main
from lossforge.losses import HANDCRAFTED, OBJECTIVES, zoo
from lossforge.methods import METHODS
from lossforge.models import FAMILIES
from lossforge.tasks import FROM_FILES, LOADERS


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("tasks", [*LOADERS, *FROM_FILES, "hub:OWNER/NAME"]),
        ("models", list(FAMILIES)),
        ("losses", [*HANDCRAFTED, *OBJECTIVES]),
        ("methods", list(METHODS)),
        ("zoo", [f"zoo:{name}" for name in zoo.names()]),
    ],
)
def test_everything_there_is_stands_in_its_list(what, names, capsys):
    assert main(["list", what]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in names)


def test_mistakes_are_told(capsys):
    assert main(["list", "task"]) == 2
    assert "did you mean 'tasks'" in capsys.readouterr().err
    assert main(["list"]) == 2


def test_lists_for_other_programs(capsys):
    assert main(["list", "losses", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"cross_entropy"} <= {row["name"] for row in found}
    assert main(["list", "--format=markdown", "losses"]) == 0
    assert "| cross_entropy |" in capsys.readouterr().out
    assert main(["list", "losses", "--format", "xml"]) == 2
    assert "known: " in capsys.readouterr().err


@pytest.mark.parametrize("columns", ["80", "40"])
@pytest.mark.parametrize("what", ["tasks", "models", "losses", "methods", "zoo"])
def test_no_name_is_shortened_and_lines_fit(what, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["list", what]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert main(["list", what, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    for row in rows:
        assert any(line.startswith(row["name"]) for line in printed)
    words = max(len(word) for row in rows for word in row["about"].split())
    for line in printed:
        is_name = any(line == row["name"] for row in rows)
        assert is_name or len(line) <= max(int(columns), 38 + words)
