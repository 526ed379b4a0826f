"""Losses go to a hub and come back; the hub is a server on this machine."""

import json
import sys
import time
from collections.abc import Iterator

import pytest
import torch

import lossforge as lf
from lossforge.errors import DataError, FileFormatError, LossforgeError, MissingPackageError
from lossforge.losses import ML3_NETWORK, NeuralLoss, SymbolicLoss
from lossforge.losses.storage import digest

pytest.importorskip("huggingface_hub", reason="the package is not installed")

from integrations.hub_server import Hub, hub_server

REPO = "someone/a-loss"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server() as served:
        yield served


@pytest.fixture
def to(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    return {"endpoint": hub.endpoint, "token": "secret"}


def losses():
    torch.manual_seed(0)
    return [
        SymbolicLoss("0.7*square(1.1*y - p)", kind="regression"),
        NeuralLoss(ML3_NETWORK, kind="classification"),
        lf.losses.Focal(gamma=1.5),
    ]


@pytest.mark.parametrize("loss", losses(), ids=lambda loss: type(loss).__name__)
def test_what_is_pushed_comes_back_bit_for_bit(loss, hub, to, tmp_path):
    url = lf.push_to_hub(loss, REPO, **to)
    assert url.startswith(f"{hub.endpoint}/{REPO}/commit/")
    found = lf.from_hub(REPO, cache_dir=tmp_path, **to)
    assert digest(found) == digest(loss)


def test_nothing_but_the_loss_and_its_card_is_sent(hub, to):
    lf.push_to_hub(losses()[0], REPO, **to)
    repository = hub.repositories[REPO]
    (files,) = repository.commits.values()
    assert set(files) == {"loss.json", "README.md"}
    assert not repository.private
    text = files["README.md"].decode()
    assert text.startswith("---\nlibrary_name: lossforge\n")
    assert f'lf.from_hub("{REPO}")' in text
    assert "license" not in text  # no one has said one


def test_a_loss_of_the_zoo_takes_its_card_along(hub, to):
    name = lf.zoo.names()[0]
    lf.push_to_hub(f"zoo:{name}", REPO, private=True, **to)
    (files,) = hub.repositories[REPO].commits.values()
    assert lf.zoo.card(name).origin.command in files["README.md"].decode()
    assert hub.repositories[REPO].private


def test_a_revision_stays_what_it_was(hub, to, tmp_path):
    first, _, second = losses()
    lf.push_to_hub(first, REPO, **to)
    lf.push_to_hub(second, REPO, **to)
    old, new = hub.repositories[REPO].commits
    for revision, loss in ((old, first), (new, second), (None, second)):
        found = lf.from_hub(REPO, revision=revision, cache_dir=tmp_path, **to)
        assert digest(found) == digest(loss)


def test_a_reduction_is_of_the_use(to, tmp_path):
    lf.push_to_hub(losses()[0], REPO, **to)
    assert lf.from_hub(REPO, reduction="sum", cache_dir=tmp_path, **to).reduction == "sum"


def test_a_repository_that_is_not_there_is_told_in_a_line(to, tmp_path):
    with pytest.raises(DataError, match="someone/nothing could not be read") as caught:
        lf.from_hub("someone/nothing", cache_dir=tmp_path, **to)
    assert "\n" not in str(caught.value)


def test_a_wrong_token_is_told_in_a_line(hub, to):
    hub.tokens.add("another")
    with pytest.raises(DataError, match="could not be written") as caught:
        lf.push_to_hub(losses()[0], REPO, **to)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_hub_that_cannot_be_reached_is_told_in_a_line(tmp_path, monkeypatch):
    with hub_server() as served:
        gone = served.endpoint
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between attempts
    with pytest.raises(DataError, match="could not be read"):
        lf.from_hub(REPO, endpoint=gone, cache_dir=tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"not JSON", b'{"format": "another"}', json.dumps({"weights": "0" * 64}).encode()],
)
def test_what_is_no_loss_is_refused(content, hub, to, tmp_path):
    lf.push_to_hub(losses()[0], REPO, **to)
    hub.repositories[REPO].commit({"loss.json": content})
    with pytest.raises((FileFormatError, DataError)):
        lf.from_hub(REPO, cache_dir=tmp_path, **to)


def test_damaged_weights_are_refused(hub, to, tmp_path):
    lf.push_to_hub(losses()[1], REPO, **to)
    hub.repositories[REPO].commit({"loss.safetensors": b"no weights"})
    with pytest.raises(FileFormatError):
        lf.from_hub(REPO, cache_dir=tmp_path, **to)


def test_only_losses_are_sent(hub, to):
    with pytest.raises(LossforgeError):
        lf.push_to_hub(torch.nn.MSELoss(), REPO, **to)
    assert hub.requests == []


def test_the_package_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for use in (lambda: lf.push_to_hub("mse", REPO), lambda: lf.from_hub(REPO)):
        with pytest.raises(MissingPackageError, match=r"lossforge\[share\]"):
            use()
