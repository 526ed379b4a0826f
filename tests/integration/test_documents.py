"""The README and docs/: short, with links that lead somewhere and code that runs."""

import io
import re
import shlex
from contextlib import redirect_stdout, suppress
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lossforge import save
from lossforge.cli import COMMANDS, main
from lossforge.losses import SymbolicLoss
from lossforge.methods import METHODS

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])
MOST_WORDS = 700

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXECUTED = [path for path in DOCUMENTS if path.parent.name == "docs" or path == README]
SHOWN = [path for path in DOCUMENTS if path.is_relative_to(ROOT / "docs")] + [
    path for path in DOCUMENTS if path.parent == ROOT and path.name != "CHANGELOG.md"
]
"""documents that tell how to use the program; the changelog has what is gone, too"""


def blocks(path: Path, language: str) -> list[str]:
    found = BLOCK.findall(path.read_text(encoding="utf-8"))
    return [code for kind, code in found if kind == language]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def spans(path: Path) -> list[str]:
    """Return what stands between backticks in the text of a document, on one line each."""
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


def commands() -> list[str]:
    """Return the commands of lossforge in the documents: in blocks, and within the text."""
    codes = [code for path in SHOWN for kind in ("", "bash") for code in blocks(path, kind)]
    lines = [line.strip() for code in codes for line in code.replace("\\\n", " ").splitlines()]
    lines += [span for path in SHOWN for span in spans(path)]
    found = [line for line in lines if line.startswith("lossforge ") and "..." not in line]
    # COMMAND, METHOD and their like stand for any; --help and --version are of no command.
    return sorted({line for line in found if not re.match(r"lossforge [A-Z-]|.*\bMETHOD\b", line)})


@cache
def help_of(command: str, method: str = "") -> str:
    """Return the help of a command of the program."""
    text = io.StringIO()
    with redirect_stdout(text), suppress(SystemExit):
        main([command, *([method] if method else []), "--help"])
    return text.getvalue()


def has_option(told: str, option: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", told) is not None


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
def test_commands_and_their_options_exist(command):
    words = shlex.split(re.sub(r"[&;|] *$", "", command), comments=True)[1:]
    assert words[0] in COMMANDS
    method = words[1] if words[0] in ("search", "fewshot") and words[1:] else ""
    told = help_of(words[0], "" if method.startswith("-") else method)
    for word in words:
        if word.startswith("--") and word != "--help":
            assert has_option(told, word.partition("=")[0]), word


OWN_HELP = [*((name, "") for name in COMMANDS), *(("search", name) for name in METHODS)]
OWN_HELP += [("fewshot", "npbml"), ("fewshot", "ablation")]

OTHERS = {"--help", "--version", "--quick", "--json", "--strict", "--index-url", "--kills"}
"""options of other programs, and of all"""


@pytest.mark.parametrize("document", SHOWN, ids=name_of)
def test_options_that_the_text_names_exist(document):
    known = "\n".join(help_of(*names) for names in OWN_HELP)
    named = {word for span in spans(document) for word in re.findall(r"(?<!\S)--[\w.-]*\w", span)}
    assert [option for option in sorted(named - OTHERS) if not has_option(known, option)] == []


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
