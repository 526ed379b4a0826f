"""Every promise of SECURITY.md has a test: one of these, or one that stands elsewhere."""

import ast
import io
import os
import pickle
import re
import stat
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch

from lossforge.errors import LossforgeError
from lossforge.losses import NeuralLoss, SymbolicLoss, load, save
from lossforge.searching.executors.pool import LocalPool

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "lossforge"

HERE = "test_security.py"
PROMISES = {
    "is read by a JSON parser, a parser of that language, and safetensors": [
        "losses/test_storage.py::test_a_file_is_small_plain_data",
        "losses/test_storage.py::test_damage_is_named",
    ],
    "Nothing in it is evaluated, unpickled or imported": [
        f"{HERE}::test_no_code_in_a_loss_file_runs",
        f"{HERE}::test_nothing_is_evaluated_and_only_workers_unpickle",
    ],
    "the number of a network's weights are limited before anything is allocated": [
        "losses/test_storage.py::test_a_small_file_that_asks_for_much_is_refused_at_once",
        "losses/test_storage.py::test_a_number_of_too_many_digits_is_damage",
    ],
    "pipes and devices are refused": [
        "losses/test_storage.py::test_files_without_an_end_are_refused_at_once",
        "test_files.py::test_files_without_an_end_are_refused_at_once",
    ],
    "which restricts what is unpickled to tensors and plain containers": [
        f"{HERE}::test_every_checkpoint_is_read_with_weights_only",
        f"{HERE}::test_no_code_in_a_checkpoint_runs",
    ],
    "are refused before they take memory": [
        "test_tensor_files.py::test_a_compressed_archive_is_refused",
        "test_tensor_files.py::test_an_array_of_any_length_is_refused",
        "experiments/test_trained_model.py"
        "::test_descriptions_that_are_odd_or_ask_for_much_are_refused",
    ],
    "show damage and edits by accident": [
        "runs/test_folder.py::test_a_complete_run_is_told_from_an_edited_one",
        "runs/test_folder.py::test_a_complete_run_that_lost_its_checksums_is_refused",
        "integration/test_nothing_mixed.py::test_edited_settings_are_refused",
        "runs/test_stateful.py::Runs",
    ],
    "keeps two processes out of one folder": [
        "runs/test_lock.py::test_one_of_several_processes_gets_a_new_folder",
        "runs/test_lock.py::test_a_killed_process_gives_the_lock_back",
    ],
    "`report.html` needs no other file and loads nothing": [
        "report/test_page.py::test_every_run_ends_with_a_page",
    ],
    "names of users' losses, tasks and columns are text in it, never markup": [
        "report/test_page.py::test_names_of_users_are_text",
        "report/test_mathml.py::test_signs_of_html_are_escaped",
    ],
    "into a temporary folder that only its owner may enter": [
        f"{HERE}::test_no_one_else_may_enter_the_folder_of_workers",
    ],
    "It is generated from the loss's parsed form, not copied from the file": [
        "losses/test_storage.py::test_damage_is_named",
        "analysis/test_export.py::test_the_file_needs_no_lossforge_and_tells_where_it_is_from",
    ],
    "Only regular files are opened": [
        "tasks/test_table_files.py::test_pipes_and_devices_are_refused",
    ],
    "are refused before memory is allocated": [
        "tasks/test_table_files.py::test_a_small_table_cannot_ask_for_much_memory",
        "tasks/test_table_files.py::test_what_is_no_table_is_refused",
        "tasks/test_image_file.py::test_what_is_no_image_is_refused_in_a_line",
        "fault/data_attacks.py::DataAttacks",
    ],
    "lossforge passes no permission to run a data set's scripts": [
        f"{HERE}::test_data_sets_get_no_permission_to_run_scripts",
    ],
    "lossforge sends nothing anywhere": [f"{HERE}::test_nothing_is_sent_anywhere"],
}
"""what SECURITY.md says, and its tests"""

WITHOUT_PROMISE = {"Commands and options"}
"""paragraphs that only warn"""


def paragraphs() -> dict[str, str]:
    """Return the paragraphs about files, by their bold titles."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8").split("## What files", 1)[1]
    found = {}
    for each in text.split("\n\n"):
        if title := re.match(r"\*\*(.+?)\.?\*\*", each):
            found[title[1]] = " ".join(each.split())
    return found


def test_every_promise_is_made_and_every_paragraph_is_tested():
    told = paragraphs()
    assert not [each for each in PROMISES if not any(each in text for text in told.values())]
    tested = {title for title, text in told.items() if any(each in text for each in PROMISES)}
    assert set(told) - tested == WITHOUT_PROMISE


@pytest.mark.parametrize("test", sorted({each for tests in PROMISES.values() for each in tests}))
def test_the_tests_of_promises_exist(test):
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, NAMED)}


NAMED = (ast.FunctionDef, ast.ClassDef)


class Code:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path):
        self._path = path

    def __reduce__(self):
        return os.mkdir, (str(self._path),)


def test_no_code_in_a_loss_file_runs(tmp_path):
    proof = tmp_path / "proof"
    document = tmp_path / "loss.json"
    save(SymbolicLoss("y*log(p)"), document)
    text = document.read_text()
    for code in (f"__import__('os').mkdir('{proof}')", f"y*os.mkdir('{proof}')", "y.__class__"):
        document.write_text(re.sub(r'("expression": ")[^"]*', lambda m, c=code: m[1] + c, text))
        with pytest.raises(LossforgeError):
            load(document)
    save(NeuralLoss(), tmp_path / "net.json")
    (tmp_path / "net.safetensors").write_bytes(pickle.dumps(Code(proof)))
    with pytest.raises(LossforgeError):
        load(tmp_path / "net.json")
    document.write_bytes(pickle.dumps(Code(proof)))
    with pytest.raises(LossforgeError):
        load(document)
    assert not proof.exists()


def test_no_code_in_a_checkpoint_runs(tmp_path):
    proof, content = tmp_path / "proof", io.BytesIO()
    torch.save({"model": Code(proof)}, content)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(io.BytesIO(content.getvalue()), weights_only=True)
    assert not proof.exists()
    torch.load(io.BytesIO(content.getvalue()), weights_only=False)
    assert proof.exists()  # it would have


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    """Return every node of the package's code, with its module."""
    return [
        (path.relative_to(SOURCE).as_posix(), node)
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ]


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Yield every call in the package: its module, what is called, and the call."""
    for module, node in nodes():
        if isinstance(node, ast.Call):
            yield module, ast.unparse(node.func), node


def imports() -> Iterator[tuple[str, str]]:
    """Yield every module that the package imports, and from where."""
    for module, node in nodes():
        if isinstance(node, ast.Import):
            yield from ((module, each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield module, node.module or ""


WORKERS = ("searching/executors/pool.py", "searching/executors/worker.py")
"""modules that unpickle what a run sends to its own processes"""


def test_every_checkpoint_is_read_with_weights_only():
    found = [(module, call) for module, name, call in calls() if name == "torch.load"]
    assert {module for module, _ in found} == {"tensor_files.py", "searching/executors/worker.py"}
    assert len([module for module, name, _ in calls() if name == "load_tensors"]) >= 4
    for module, call in found:
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert given.get("weights_only") == "True" or module in WORKERS, module


def test_nothing_is_evaluated_and_only_workers_unpickle():
    assert not [m for m, name, _ in calls() if name in ("eval", "exec", "compile", "__import__")]
    unsafe = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
    assert {m for m, name in imports() if name.split(".")[0] in unsafe} == set(WORKERS)


@pytest.mark.skipif(os.name == "nt", reason="permissions are POSIX's")
def test_no_one_else_may_enter_the_folder_of_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pool = LocalPool(2)
    work = pool._publish(len)
    assert work.parent.parent == tmp_path
    assert stat.S_IMODE(work.parent.stat().st_mode) == stat.S_IRWXU
    pool.close()
    assert not work.parent.exists()


def test_data_sets_get_no_permission_to_run_scripts():
    found = [call for _, name, call in calls() if name.endswith("load_dataset")]
    assert found
    words = {word.arg for call in found for word in call.keywords}
    assert not words & {"trust_remote_code", None}


def test_nothing_is_sent_anywhere():
    network = {"urllib", "http", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "socket"}
    used = {(m, name) for m, name in imports() if name.split(".")[0] in network}
    users = {m for m, name in used if name != "urllib.parse"}
    assert users == {"runs/lock.py", "runs/status.py"}
    assert {name for _, name, _ in calls() if name.startswith("socket.")} == {"socket.gethostname"}
