"""A card checks itself, says what its checks show, and comes back from its file."""

import json
from dataclasses import replace

import pytest

from lossforge.errors import ConfigurationError, FileFormatError, LossforgeError
from lossforge.losses.zoo import Card
from zoo_cards import CARD, CHECK, ORIGIN, card_with


def test_a_card_comes_back_from_json():
    assert Card.from_document(json.loads(json.dumps(CARD.document())), "a card") == CARD


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "better"),
        ({"difference": 0.1}, "worse"),
        ({"p": 0.05}, "no difference"),
        ({"p": None}, "no difference"),
        ({"test": None, "difference": None}, "diverged"),
        ({"rival_test": None, "difference": None, "p": 0.03}, "better"),
        ({"rival_test": None, "difference": None, "p": None}, "no difference"),
        ({"rival_test": None, "difference": None, "p": 0.5}, "no difference"),
    ],
)
def test_a_verdict_needs_a_test_that_tells(changes, verdict):
    assert replace(CHECK, **changes).verdict == verdict


def test_a_line_about_it_counts_other_tasks_alone():
    assert CARD.about == (
        "classification: found on iris by evomal; against the best handcrafted loss on 2 other "
        "tasks: better on 1, no difference on 1"
    )
    assert CARD.where("better") == ("wine", "iris")
    assert str(CARD) == f"evomal-iris: {CARD.about}"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "Evo MAL"}, "name"),
        ({"name": "../loss"}, "name"),
        ({"kind": "clustering"}, "clustering"),
        ({"formula": ""}, "formula"),
        ({"license": None}, "license"),
        ({"rate_factor": float("nan")}, "rate_factor"),
        ({"classes": 0}, "classes"),
        ({"checks": (CHECK, replace(CHECK, task="iris"))}, "2 tasks besides iris, not 1"),
    ],
)
def test_what_is_no_card_is_refused(changes, says):
    with pytest.raises(LossforgeError, match=says):
        card_with(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": 1},
        {"steps": 0},
        {"rate": 0.0},
        {"test": -0.1},
        {"p": 1.5},
        {"difference": float("inf")},
        {"rival": ""},
    ],
)
def test_what_is_no_check_is_refused(changes):
    with pytest.raises(ConfigurationError, match=next(iter(changes))):
        replace(CHECK, **changes)


@pytest.mark.parametrize("changes", [{"seed": -1}, {"rate": 0.0}, {"command": ""}])
def test_what_is_no_origin_is_refused(changes):
    with pytest.raises(ConfigurationError, match=next(iter(changes))):
        replace(ORIGIN, **changes)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ({"origin": None}, "no card"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"checks": [{"task": "wine"}]}, "no card"),
        ({"findings": ["alone"]}, "no card"),
        ({"name": "Not A Name"}, "no card"),
    ],
)
def test_damage_is_named(damage, says):
    with pytest.raises(FileFormatError, match=says) as caught:
        Card.from_document(CARD.document() | damage, "a.card.json")
    assert str(caught.value).startswith("a.card.json")


def test_a_missing_field_is_named():
    document = CARD.document()
    del document["origin"]
    with pytest.raises(FileFormatError, match="field 'origin' is missing"):
        Card.from_document(document, "a.card.json")
