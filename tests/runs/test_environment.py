"""What a run was computed with: versions, hardware and the commit, and nothing of who ran it."""

import getpass
import platform
import subprocess

import pytest
import torch

from lossforge.runs import environment
from lossforge.runs.environment import describe_environment

GIT = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]


@pytest.fixture
def repository(tmp_path):
    """A repository of one file, and git in it."""

    def git(*words: str) -> str:
        finished = subprocess.run(
            ["git", *GIT, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return finished.stdout.strip()

    try:
        git("init")
    except OSError:
        pytest.skip("git is not installed")
    (tmp_path / "code.py").write_text("x = 1\n")
    git("add", ".")
    git("commit", "-m", "first")
    return tmp_path, git


def test_versions_and_hardware(tmp_path):
    found = describe_environment(tmp_path)
    assert found["Python"] == platform.python_version()
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["threads"] == str(torch.get_num_threads())
    assert int(found["cores"]) >= 1
    assert found["device"] == "cpu"
    assert all(found.values())
    told = " ".join(found.values())
    assert str(tmp_path) not in told
    assert platform.node() not in found.values()
    assert getpass.getuser() not in found.values()


def test_the_commit_and_whether_the_code_differs_from_it(repository):
    folder, git = repository
    commit = git("rev-parse", "HEAD")
    told = describe_environment(folder)["git commit"]
    assert len(told) == 12
    assert commit.startswith(told)
    (folder / "notes.txt").write_text("not tracked")
    assert describe_environment(folder)["git commit"] == told
    (folder / "code.py").write_text("x = 2\n")
    assert describe_environment(folder)["git commit"] == (
        f"{told}, with changes that are not committed"
    )


@pytest.mark.parametrize(
    "error", [FileNotFoundError("git"), subprocess.TimeoutExpired("git", environment.PATIENCE)]
)
def test_without_git_there_is_no_commit(error, repository, monkeypatch):
    def fails(*_, **settings):
        assert settings["timeout"] == environment.PATIENCE
        raise error

    monkeypatch.setattr(subprocess, "run", fails)
    assert "git commit" not in describe_environment(repository[0])


def test_a_folder_without_repository_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "git commit" not in describe_environment(tmp_path)


def test_packages_that_are_not_installed_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("torch", "no-such-package-of-any-name"))
    assert "no-such-package-of-any-name" not in describe_environment(tmp_path)


def test_a_gpu_that_is_not_there_is_told_as_it_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert describe_environment(tmp_path, "cuda:1")["device"] == "cuda:1"
