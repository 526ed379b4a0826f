"""`lossforge export`: what it prints or writes gives the loss's numbers."""

import pytest
import torch

from lossforge.cli import main
from lossforge.losses import Huber


@pytest.mark.parametrize("to_file", [False, True])
def test_the_exported_module_gives_the_same_numbers(to_file, capsys, tmp_path):
    path = tmp_path / "huber.py"
    more = ["--out", str(path)] if to_file else []
    assert main(["export", "huber:delta=0.5", "--to", "torch", *more]) == 0
    printed = capsys.readouterr().out
    assert bool(printed) != to_file
    names: dict[str, object] = {}
    exec(path.read_text() if to_file else printed, names)
    outputs, targets = torch.randn(2, 6, 1)
    torch.testing.assert_close(names["loss"](outputs, targets), Huber(0.5)(outputs, targets))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["huber"], "--to"),
        (["huber", "--to", "fortran"], "--to"),
        (["hubert", "--to", "torch"], "did you mean 'huber'"),
    ],
)
def test_mistakes_are_told(words, says, capsys):
    assert main(["export", *words]) == 2
    assert says in capsys.readouterr().err


def test_a_file_is_not_overwritten(tmp_path, capsys):
    path = tmp_path / "mine.tex"
    path.write_text("mine")
    assert main(["export", "huber", "--to", "latex", "--out", str(path)]) == 2
    assert "exists; choose another --out" in capsys.readouterr().err
    assert path.read_text() == "mine"
