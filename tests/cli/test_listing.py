import json

import pytest

from lossforge.cli import main
from lossforge.losses import HANDCRAFTED, OBJECTIVES
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
