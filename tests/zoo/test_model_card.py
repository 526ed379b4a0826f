"""A card as Markdown: where the loss is from, where it helps, and what it does."""

import json
from dataclasses import replace

import pytest

from lossforge import zoo
from lossforge.losses import Huber, SymbolicLoss
from lossforge.zoo import card_table, model_card, told_verdicts
from zoo_cards import CARD, CHECK, card_with

LOSS = SymbolicLoss("-y*log(p)")


def test_the_table_holds_the_figures_of_the_checks():
    table = card_table(CARD)
    assert table.rows[0] == (
        *("wine", "cross_entropy", "0.2000", "0.03", "0.1000", "0.01", "-0.1000", "0.031"),
    )
    assert [row[0] for row in table.rows] == ["wine", "digits", "iris*"]
    assert all(len(line) <= 80 for line in table.plain(80).splitlines())


def test_what_diverged_is_told():
    check = replace(CHECK, test=None, deviation=None, difference=None)
    row = card_table(card_with(checks=(check, *CARD.checks[1:]))).rows[0]
    assert row[4] == row[6] == "diverged"


def test_a_model_card_tells_everything():
    text = model_card(LOSS, CARD)
    head = text.split("---\n")[1].splitlines()
    assert head[:2] == ["license: mit", "library_name: lossforge"]
    for part in (
        f"# {CARD.name}",
        str(LOSS),
        'lf.zoo.load("evomal-iris")',
        CARD.origin.command,
        CARD.check_command,
        "It is better than the best handcrafted loss on wine.",
        "No difference is shown on digits.",
        "2.5 times as large",
        "- **nearest**: cross_entropy",
        "- flat",
    ):
        assert part in text


def test_without_a_card_it_says_what_explain_says():
    text = model_card(Huber(0.5), repo="me/huber")
    assert 'lf.from_hub("me/huber")' in text
    assert "license" not in text
    assert "## What it does" in text
    assert "Where it helps" not in text


@pytest.mark.parametrize("repo", ["", "me/it"])
def test_the_call_is_of_where_the_loss_is(repo):
    text = model_card(LOSS, CARD, repo=repo)
    assert ("from_hub" in text) == bool(repo)


def test_figures_are_plain_data():
    assert json.loads(json.dumps(CARD.document()))["checks"][0]["test"] == CHECK.test


def test_a_loss_that_is_worse_is_called_worse():
    found = zoo.card("evomal-student-t")
    tasks = "diabetes, planted_outliers, planted_student_t"
    assert told_verdicts(found.checks) == f"It is worse than the best handcrafted loss on {tasks}."
    own = "found on: It is worse than the best handcrafted loss on planted_student_t."
    assert own in model_card(zoo.load(found.name), found)
