"""Every loss that ships: it loads, it is what its card says, and it trains."""

import pytest
import torch

import lossforge as lf
from lossforge.analysis.explanation import explain
from lossforge.errors import UnknownNameError
from lossforge.experiments.arguments import as_loss
from lossforge.experiments.benchmark_entrants import as_entrant
from lossforge.losses import SymbolicLoss, zoo
from lossforge.losses.resolve import resolve_loss
from lossforge.losses.storage import digest
from lossforge.methods.evomal.genome import Genome

NAMES = zoo.names()
EVERY = pytest.mark.parametrize("name", NAMES)


def test_there_are_eight():
    assert len(NAMES) >= 8
    assert len({zoo.card(name).formula for name in NAMES}) == len(NAMES)


def test_nothing_else_is_shipped():
    files = {f"{name}{ending}" for name in NAMES for ending in (".json", zoo.CARD)}
    weights = {f"{name}.safetensors" for name in NAMES if zoo.load(name).weights()}
    assert {path.name for path in zoo.FOLDER.iterdir()} == files | weights


@EVERY
def test_the_card_is_of_the_loss(name):
    loss, card = zoo.load(name), zoo.card(name)
    assert card.name == name
    assert (card.kind, card.formula) == (loss.kind.name, str(loss))
    assert card.license == "MIT"
    assert f"zoo:{name}" in card.check_command
    assert card.origin.command.startswith(f"lossforge search {card.origin.method} ")


@EVERY
def test_the_card_says_what_explain_says(name):
    card = zoo.card(name)
    told = explain(zoo.load(name), max(2, card.classes))
    assert card.rate_factor == pytest.approx(told.learning_rate_factor, rel=1e-3)
    assert [label for label, _ in card.findings] == [
        label for label, _ in told.lines() if label != "loss"
    ]
    assert card.warnings == told.warnings


@EVERY
def test_it_was_held_against_a_handcrafted_rival_on_two_other_tasks(name):
    card = zoo.card(name)
    assert len({check.task for check in card.elsewhere}) >= 2
    for check in card.checks:
        resolve_loss(check.rival, card.kind)
        assert check.rival in card.check_command
        assert check.seeds >= 3


@EVERY
def test_a_network_learns_under_it(name):
    loss, card = zoo.load(name), zoo.card(name)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 4, generator=generator)
    targets = inputs[:, :1] * 0.5
    if card.kind == "classification":
        targets = (inputs[:, 0] > 0).long()
    network = torch.nn.Linear(4, 2 if card.kind == "classification" else 1)
    default = resolve_loss({"classification": "cross_entropy", "regression": "mse"}[card.kind])
    with torch.no_grad():
        network.weight.zero_()
        network.bias.zero_()
        before = float(default(network(inputs), targets))
    rate = 0.05 / max(0.1, abs(card.rate_factor))
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)
    for _ in range(100):
        optimizer.zero_grad()
        loss(network(inputs), targets).backward()
        optimizer.step()
    with torch.no_grad():
        assert float(default(network(inputs), targets)) < 0.9 * before


@EVERY
def test_every_place_that_takes_a_loss_takes_its_name(name):
    loss = zoo.load(name)
    assert digest(resolve_loss(f"zoo:{name}")) == digest(loss)
    given = as_loss(f"zoo:{name}", loss.kind)
    assert given.name == f"zoo:{name}"
    assert given.digest == digest(loss)
    assert not given.is_handcrafted
    assert digest(as_entrant(f"zoo:{name}", "quick")) == digest(loss)
    if isinstance(loss, SymbolicLoss):
        genome = Genome.read(f"zoo:{name}")
        assert genome.coefficients == tuple(loss.coefficients.tolist())


def test_a_prefix_and_a_reduction():
    name = NAMES[0]
    assert digest(zoo.load(f"zoo:{name}")) == digest(zoo.load(name))
    assert zoo.card(f"zoo:{name}") == zoo.card(name)
    assert zoo.load(name, reduction="sum").reduction == "sum"


@pytest.mark.parametrize("use", [zoo.load, zoo.card, lambda name: resolve_loss(f"zoo:{name}")])
def test_an_unknown_name_is_told(use):
    with pytest.raises(UnknownNameError, match=f"did you mean {NAMES[0]!r}"):
        use(f"{NAMES[0]}x")
    with pytest.raises(UnknownNameError, match="loss of the zoo"):
        use("../../runs/a")


def test_the_public_package_is_the_same():
    assert lf.zoo.names() == NAMES
    assert lf.zoo.card(NAMES[0]) == zoo.card(NAMES[0])
    assert digest(lf.zoo.load(NAMES[0])) == digest(zoo.load(NAMES[0]))
