"""The README and docs/: short, with links that lead somewhere and code that runs."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lossforge import save
from lossforge.cli import COMMANDS, main
from lossforge.losses import SymbolicLoss

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])
MOST_WORDS = 700

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXECUTED = [path for path in DOCUMENTS if path.parent.name == "docs" or path == README]


def blocks(path: Path, language: str) -> list[str]:
    found = BLOCK.findall(path.read_text(encoding="utf-8"))
    return [code for kind, code in found if kind == language]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def commands() -> list[str]:
    codes = [code.replace("\\\n", " ") for path in EXECUTED for code in blocks(path, "")]
    lines = [line for code in codes for line in code.splitlines()]
    return [line for line in lines if line.startswith("lossforge ")]


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").split()) <= MOST_WORDS


def test_the_readmes_test_command_is_what_the_pipeline_runs():
    (line,) = (
        line for code in blocks(README, "") for line in code.splitlines() if "pytest" in line
    )
    pipeline = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert line in [step.replace(" --quiet", "") for step in pipeline]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_installations_are_constrained(document):
    lines = document.read_text(encoding="utf-8").splitlines()
    installs = [line for line in lines if re.match(r"pip install .*(\.|\[\w+\]'?)( |$)", line)]
    assert all("-c constraints.txt" in line for line in installs)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_to_files_and_headings(document):
    text = BLOCK.sub("", document.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if re.match(r"https?:", target):
            continue
        name, _, heading = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        assert path.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings]
            assert heading in anchors, target


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_files_that_are_named_exist(document):
    text = document.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:benchmarks|docs|examples|tests)/[\w/.]+\.\w+)`", text):
        if "my_" not in name:  # what the recipes of CONTRIBUTING.md ask one to write
            assert (ROOT / name).exists(), name


@pytest.mark.parametrize("command", commands())
def test_commands_and_their_options_exist(command, capsys):
    words = shlex.split(command, comments=True)[1:]
    assert words[0] in COMMANDS
    method = words[1:2] if words[0] in ("search", "fewshot") else []
    try:
        main([words[0], *method, "--help"])
    except SystemExit as stop:
        if stop.code:
            raise
    told = capsys.readouterr().out
    for word in words:
        if word.startswith("--"):
            assert re.search(rf"{re.escape(word)}\b", told), word


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What a reader's own program has: a run, a network, an optimizer and loaders."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "evomal-digits-0"
    run.mkdir(parents=True)
    save(SymbolicLoss("-y*log(p)"), run / "loss.json")
    draw = torch.Generator().manual_seed(0)
    rows = TensorDataset(torch.randn(128, 64, generator=draw), torch.arange(128) % 10)
    train, valid = (DataLoader(rows, batch_size=32, shuffle=True) for _ in range(2))
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    return {
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        "train_loader": train,
        "valid_loader": valid,
    }


def execute(document: Path, names: dict[str, object]) -> None:
    for block in blocks(document, "python"):
        exec(compile(block, name_of(document), "exec"), names)


WITH_CODE = [path for path in EXECUTED if path != README and blocks(path, "python")]


@pytest.mark.parametrize("document", WITH_CODE, ids=name_of)
def test_the_python_of_a_document_runs(document, names):
    execute(document, names)


def test_the_readmes_code_trains_the_model(names):
    before = [weight.clone() for weight in names["model"].parameters()]
    execute(README, names)
    after = names["model"].parameters()
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
