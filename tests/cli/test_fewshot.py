"""`lossforge fewshot` from first to last, interrupted and mistaken."""

import json

import pytest

from lossforge.cli import main
from lossforge.runs import RunFolder

TINY = [
    *("--task", "clusters", "--ways", "3", "--network", "dense", "--width", "5"),
    *("--meta-steps", "4", "--check-every", "2", "--valid-tasks", "3", "--test-tasks", "6"),
    *("--pretrain-steps", "2", "--queries", "3"),
]


def test_a_run_ends_with_accuracy_and_interval(tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["fewshot", "maml", *TINY, "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert 0 <= result["accuracy"] <= 100
    assert result["interval"] >= 0
    assert {"method", "task", "model", "seed", "metric", "valid", "test", "loss"} <= set(result)
    assert "meta-test accuracy" in capsys.readouterr().out
    assert len((out / "history.jsonl").read_text().splitlines()) == 2


def test_what_was_learned_is_explained_task_by_task(tmp_path, capsys):
    out, plots = tmp_path / "run", tmp_path / "plots"
    assert main(["fewshot", "maml_inductive", *TINY, "--out", str(out)]) == 0
    assert main(["explain", str(out), "--plots", str(plots)]) == 0
    text = capsys.readouterr().out
    assert text.count("times as steep") == 5
    assert (plots / "task_losses.png").stat().st_size > 5000
    plain = tmp_path / "plain"
    assert main(["fewshot", "maml", *TINY, "--out", str(plain)]) == 0
    assert main(["explain", str(plain)]) == 2
    assert "learns no loss" in capsys.readouterr().err


def test_a_run_killed_before_its_results_is_resumed_and_explained(tmp_path, monkeypatch, capsys):
    words = ["fewshot", "maml_inductive", *TINY]
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0
    killed = tmp_path / "killed"

    def kill(self, result):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_result", kill)
        assert main([*words, "--out", str(killed)]) == 130
    assert (killed / "learner.pt").exists()
    assert main(["explain", str(killed)]) == 2
    assert f"lossforge resume {killed}" in capsys.readouterr().err
    assert main(["resume", str(killed)]) == 0
    assert main(["explain", str(killed)]) == 0
    results = [json.loads((tmp_path / n / "result.json").read_text()) for n in ("whole", "killed")]
    timeless = {"seconds": 0, "meta_step": {}}
    assert results[0] | timeless == results[1] | timeless
    assert results[0]["meta_step"]["seconds"] > 0


def test_a_complete_run_without_its_learner_is_told(tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["fewshot", "maml_inductive", *TINY, "--out", str(out)]) == 0
    (out / "learner.pt").write_bytes(b"no weights")
    assert main(["explain", str(out)]) == 2
    assert "learner.pt is damaged" in capsys.readouterr().err
    (out / "learner.pt").unlink()
    assert main(["explain", str(out)]) == 2
    assert "lost its learner.pt" in capsys.readouterr().err


def test_an_ablation_is_one_table_and_resumes(tmp_path, capsys):
    out = tmp_path / "run"
    words = ["fewshot", "ablation", *TINY, "--variants", "maml", "protonet", "--out", str(out)]
    assert main(words) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split()[0] == "method"
    assert any(line.startswith("maml ") and " ± " in line for line in printed)
    assert any(line.startswith("protonet ") for line in printed)
    table = (out / "table.md").read_text()
    assert "| maml |" in table
    assert "| protonet |" in table
    result = (out / "result.json").read_text()
    (out / "result.json").unlink()
    (out / "protonet" / "result.json").unlink()
    assert main(["resume", str(out)]) == 0
    again, before = (json.loads(text) for text in ((out / "result.json").read_text(), result))
    assert [row["test"] for row in again["variants"]] == [r["test"] for r in before["variants"]]
    capsys.readouterr()
    assert main(["explain", str(out)]) == 2
    assert f"explain one of its runs: {out}/maml" in capsys.readouterr().err


@pytest.mark.parametrize("variants", [["maml"], ["ablation", "--variants", "protonet", "maml"]])
def test_divergence_is_one_line_and_no_result(variants, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["fewshot", *variants, *TINY, "--inner-rate", "1e20", "--out", str(out)]) == 2
    told = capsys.readouterr()
    assert told.err.splitlines()[-1].startswith("lossforge: maml diverged at meta-step 1: ")
    assert "Traceback" not in told.err
    assert told.out == ""
    assert not (out / "result.json").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["mamll", "--task", "clusters"], "did you mean 'maml'"),
        (["maml", "--task", "clusterz"], "did you mean 'clusters'"),
        (["maml", *TINY, "--ways", "50"], "fewer than 50 ways"),
        (["npbml", *TINY, "--order", "first"], "first order"),
        (["maml", *TINY, "--variants", "npbml"], "--variants is of ablation"),
        (["ablation", *TINY, "--variant", "maml"], "pass --variants"),
        (["maml", *TINY, "--variant=maml"], "--variant is not used here"),
        (["npbml", *TINY, "--similarity", "distanc"], "distance"),
        (["maml", "--task", "clusters", "--network", "conv4"], "--network dense"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(words, says, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["fewshot", *words, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lossforge: ")
    assert says in error
    assert not out.exists()


def test_help_lists_the_methods(capsys):
    assert main(["fewshot", "--help"]) == 0
    assert "npbml" in capsys.readouterr().out
