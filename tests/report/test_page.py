"""Pages: one for every kind of run, whole in one file, and never a reason for a run to fail."""

import json
import re
import shlex
from html.parser import HTMLParser

import pytest

import lossforge as lf
from lossforge import cli
from lossforge.errors import ConfigurationError
from lossforge.experiments import open_run
from lossforge.report import Facts, page_of
from lossforge.runs import RunFolder
from report.runs_of_every_kind import KINDS

VOID = {"meta", "link", "input", "br", "hr", "img", "path", "circle", "rect", "mspace"}


class Checker(HTMLParser):
    """Reads a page, and keeps its text, its headings, its names, and what it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.ids: list[str] = []
        self.loaded: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.loaded += [given["src"]] if "src" in given else []
        if tag == "link":
            self.loaded += [given["href"]]
        if tag == "a":
            self.links += [given["href"]]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Nothing stays open."""

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def read(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    return checker


@pytest.mark.parametrize("kind", KINDS)
def test_every_run_ends_with_a_page(runs, kind):
    text = (runs / kind / "report.html").read_text(encoding="utf-8")
    page = read(text)
    assert page.headings[-1] == "How to repeat it"
    assert len(set(page.ids)) == len(page.ids)
    assert page.loaded == ["data:,"]
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert "http://" not in text
    assert "https://" not in text
    assert "nan" not in re.findall(r'd="[^"]*"', text)
    assert len(text) < 300_000


@pytest.mark.parametrize(
    ("kind", "headings"),
    [
        ("search", ["The loss", "What it does", "Results on test data", "The search"]),
        ("train", ["Training", "The loss", "What it does"]),
        ("adaptive", ["Training", "The loss over time", "The loss", "What it does"]),
        ("compare", ["Results on test data", "Over all tasks and networks", "Tables"]),
        ("benchmark", ["Against handcrafted losses", "Over all tasks and networks", "Tables"]),
        ("ablation", ["Results on new tasks", "Meta-learning"]),
    ],
)
def test_a_page_has_the_parts_of_its_kind(runs, kind, headings):
    page = read((runs / kind / "report.html").read_text(encoding="utf-8"))
    assert [each for each in page.headings if each in headings] == headings


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "benchmark"])
def test_the_command_begins_the_same_run(runs, kind, tmp_path, monkeypatch, capsys):
    """The command is read by the program itself, and begins a run of the same configuration."""
    folder = RunFolder.open(runs / kind)
    command = open_run(runs / kind).command()
    assert command is not None
    words = shlex.split(command)[1:]
    assert words[0] == folder.config["command"]
    begun = []

    class Begun(Exception):  # noqa: N818
        """Ends the program as its run begins."""

    def claim(cls, path, config, **_):
        begun.append(json.loads(json.dumps(config)))
        raise Begun

    monkeypatch.setattr(RunFolder, "claim", classmethod(claim))
    with pytest.raises(Begun):
        cli.main([*words, "--out", str(tmp_path / "again")])
    assert begun == [folder.config]


def test_a_run_of_objects_has_no_command(tmp_path):
    loss = lf.losses.SymbolicLoss("-y*log(p)")
    report = lf.train("iris", loss, "linear", steps=5, out=tmp_path / "run", progress=False)
    assert report.command() is None
    assert "repeat the call" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_the_page_of_a_run_can_be_asked_for(runs, tmp_path, capsys):
    assert cli.main(["report", str(runs / "train"), "--out", str(tmp_path / "a.html")]) == 0
    assert str(tmp_path / "a.html") in capsys.readouterr().out
    again = lf.report(open_run(runs / "train"), out=tmp_path / "b.html")
    assert again.read_text() == (tmp_path / "a.html").read_text()
    assert again.read_text() == (runs / "train" / "report.html").read_text()


def test_a_search_of_many_candidates_is_small(runs, tmp_path):
    """1,250 candidates: under 3 MB, from a checkpoint with as many."""
    report = open_run(runs / "search")
    document = {
        "expression": "add(mul(y, log(p)), square(sub(y, p)))" * 4,
        "coefficients": [1.0] * 40,
    }
    row = [document, {}, [0.1, 50, None, []]]
    folder = tmp_path / "run"
    folder.mkdir()
    saved = {"content": {"state": {"archive": {"evaluations": [row] * 1250}}}}
    (folder / "checkpoint.json").write_text(json.dumps(saved))
    history = [{"generation": g, "best": 1 / g} for g in range(1, 51)]
    facts = Facts(report.run.config, report.result, history, {}, report.tables(), path=folder)
    page = page_of(facts).html()
    assert page.count('class="dot faint"') == 1250
    assert len(page) < 3_000_000


@pytest.mark.parametrize("left_out", ["rivals", "recommended", "counts", "front", "tuned", "rate"])
def test_results_of_other_versions_have_a_page(runs, left_out):
    report = open_run(runs / "search")
    result = {key: value for key, value in report.result.items() if key != left_out}
    page = page_of(Facts(report.run.config, result, losses={}))
    assert page.verdict.endswith(".")
    read(page.html())


def test_names_of_users_are_text(runs):
    report = open_run(runs / "train")
    hostile = "<script>alert(1)</script>"
    page = page_of(Facts(report.run.config, report.result | {"task": hostile})).html()
    assert hostile not in page
    assert "&lt;script&gt;alert" in page


def test_unknown_commands_are_told():
    with pytest.raises(ConfigurationError, match="no page"):
        page_of(Facts({"command": "bake"}, {}))


def test_data_of_a_benchmark_are_told_by_task(runs):
    page = (runs / "benchmark" / "report.html").read_text(encoding="utf-8")
    data = json.loads((runs / "benchmark" / "config.json").read_text())["data"]
    assert f"<dt>data of iris</dt><dd>{data[0]}</dd>" in page
