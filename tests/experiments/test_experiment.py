"""Where runs go, how interrupted ones are told, and which may be continued."""

from pathlib import Path

import pytest

from lossforge.errors import ConfigurationError, RunError
from lossforge.experiments.arguments import saved_losses
from lossforge.experiments.experiment import (
    Destination,
    Experiment,
    NewFolder,
    Report,
    check_same,
    open_to_continue,
    perform,
)
from lossforge.experiments.tables import Table
from lossforge.losses import Focal
from lossforge.runs import MemoryRun, RunFolder


class Counted(Report):
    def tables(self):
        return [Table("counts", ("n",), ((str(self.result["n"]),),))]

    def rows(self):
        return [{"n": self.result["n"]}]

    def plot(self):
        raise NotImplementedError


class Counting(Experiment[Counted]):
    """Counts to three, and may be stopped by an exception."""

    command = "count"

    def __init__(self, stop: BaseException | None = None, **settings):
        self.stop, self.settings = stop, settings

    def config(self):
        return {"command": "count", "settings": self.settings}

    def default_name(self):
        return "a count/of three"

    def objects(self):
        return {"mine": Focal(1.0)}

    def carry_out(self, run, *, progress, executor):
        run.checkpoint({"n": 2}, {"n": 2})
        if self.stop is not None:
            raise self.stop
        run.write_result({"n": 3})
        return Counted(run)


def test_nothing_is_written_unless_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = perform(Counting(), Counted, Destination())
    assert report.path is None
    assert report.rows() == [{"n": 3}]
    assert report.to_dataframe()["n"].tolist() == [3]
    assert "<table>" in report._repr_html_()
    assert list(tmp_path.iterdir()) == []


def test_new_folders_are_numbered_and_their_names_safe(tmp_path):
    destination = Destination(NewFolder(tmp_path))
    paths = [perform(Counting(), Counted, destination).path for _ in range(3)]
    assert [path.name for path in paths] == [
        "a_count_of_three",
        "a_count_of_three-2",
        "a_count_of_three-3",
    ]


@pytest.mark.parametrize("what", ["a file", "a link that leads nowhere", "a link to itself"])
def test_what_is_in_the_way_of_new_folders_is_told(tmp_path, what):
    runs = tmp_path / "runs"
    match what:
        case "a file":
            runs.write_text("")
        case "a link that leads nowhere":
            runs.symlink_to(tmp_path / "nowhere")
        case _:
            runs.symlink_to(runs)
    with pytest.raises(OSError, match="runs"):
        NewFolder(runs).make("name")


@pytest.mark.parametrize("kind", [str, Path])
def test_a_run_is_not_overwritten_unasked(kind, tmp_path):
    out = kind(tmp_path / "run")
    perform(Counting(), Counted, Destination(out))
    with pytest.raises(RunError, match="overwrite"):
        Destination(out)
    assert perform(Counting(), Counted, Destination(out, overwrite=True)).result == {"n": 3}


@pytest.mark.parametrize(
    ("options", "says"), [({"out": 3}, "out must be the path"), ({"resume": True}, "needs out=")]
)
def test_destinations_that_cannot_be_are_told(options, says):
    with pytest.raises(ConfigurationError, match=says):
        Destination(**options)


def test_an_interruption_says_how_to_go_on_and_the_run_goes_on(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt, match=f"go on with: lossforge resume .*{out.name}"):
        perform(Counting(KeyboardInterrupt()), Counted, Destination(out))
    assert RunFolder.open(out).restore() == {"n": 2}
    report = perform(Counting(), Counted, Destination(out, resume=True))
    assert report.result == {"n": 3}


def test_an_interruption_without_a_folder_is_as_it_is():
    with pytest.raises(KeyboardInterrupt) as caught:
        perform(Counting(KeyboardInterrupt()), Counted, Destination())
    assert caught.value.args == ()


def test_a_full_disk_says_how_to_go_on(tmp_path):
    error = OSError(28, "No space left on device", "result.json")
    with pytest.raises(RunError, match=r"free some space; all up to .* go on with"):
        perform(Counting(error), Counted, Destination(tmp_path / "run"))


def test_a_run_of_other_settings_is_not_continued(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        perform(Counting(KeyboardInterrupt(), to=3), Counted, Destination(out))
    with pytest.raises(RunError, match="another settings"):
        perform(Counting(to=4), Counted, Destination(out, resume=True))
    # The lock was given back, and a setting that came later has its default.
    assert perform(Counting(to=3, by=1), Counted, Destination(out, resume=True)).rows()


def test_what_differs_is_named(tmp_path):
    saved = {"version": "1", "losses": {"a": "0"}, "seed": 1, "recipe": {"steps": (1, 2)}}
    folder = RunFolder.create(tmp_path / "run", saved, overwrite=False)
    check_same(folder, saved | {"later": 1})
    with pytest.raises(RunError, match="content of its losses, seed, version of lossforge"):
        check_same(folder, saved | {"version": "2", "losses": {"a": "1"}, "seed": 2})
    with pytest.raises(RunError, match="another recipe"):
        check_same(folder, saved | {"recipe": {}})


def test_losses_that_were_given_are_saved_with_the_run(tmp_path):
    report = perform(Counting(), Counted, Destination(tmp_path / "run"))
    (name, loss), *others = saved_losses({"loss_objects": ["mine"]}, report.path).items()
    assert (name, str(loss), others) == ("mine", "focal:gamma=1", [])
    assert saved_losses({}, report.path) == {}


def test_a_run_that_is_worked_on_is_not_opened(tmp_path):
    run = RunFolder.claim(tmp_path / "run", {"seed": 1}, overwrite=False)
    with pytest.raises(RunError):
        open_to_continue(tmp_path / "run")
    run.release()
    open_to_continue(tmp_path / "run").release()


def test_only_complete_runs_have_reports():
    with pytest.raises(RunError, match="not complete"):
        Counted(MemoryRun({}))
