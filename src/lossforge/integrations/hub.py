"""Losses on the Hugging Face hub: one repository each, with a model card.

A repository holds ``loss.json``, the weights of a loss network beside it, and ``README.md``. What
is downloaded is data: it is read as any loss file is, and nothing in it is executed.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from lossforge.errors import DataError, LossforgeError, one_line
from lossforge.experiments.arguments import LossLike, check_is_loss
from lossforge.extras import require_extra
from lossforge.files import read_json
from lossforge.losses import Loss, Reduction, load, save
from lossforge.losses.resolve import resolve_loss
from lossforge.losses.storage import MOST_BYTES
from lossforge.losses.zoo import Card, card, is_in_zoo
from lossforge.zoo import model_card

LOSS, WEIGHTS, README = "loss.json", "loss.safetensors", "README.md"

EXTRA = "share"


def push_to_hub(
    loss: LossLike,
    repo: str,
    *,
    card: Card | None = None,
    private: bool = False,
    token: str | None = None,
    endpoint: str | None = None,
    message: str = "Add a loss",
) -> str:
    """Write a loss to a repository of the Hugging Face hub, with a model card.

    The repository is made where it does not exist. Only the loss and its card are sent.

    Args:
        loss: the loss; or its name, such as ``zoo:NAME``, or the path of its file or run.
        repo: OWNER/NAME.
        card: what is known of the loss; by default that of the zoo, and for other losses a text
            that says what the loss is and does.
        private: make the repository private where it is new.
        token: of the account; by default the one that ``hf auth login`` saved.
        endpoint: of the hub; by default HF_ENDPOINT, or https://huggingface.co.
        message: of the commit.

    Returns:
        The address of the commit.

    Raises:
        MissingPackageError: huggingface_hub is not installed.
        DataError: the hub refuses, or cannot be reached.
        LossforgeError: the loss is none.
    """
    require_extra(EXTRA, "push_to_hub")
    from huggingface_hub import HfApi

    found, known = _loss_and_card(loss, card)
    text = model_card(found, known, repo=repo)
    api = HfApi(endpoint=endpoint, token=token)
    with tempfile.TemporaryDirectory() as folder:
        save(found, Path(folder) / LOSS)
        (Path(folder) / README).write_text(text, encoding="utf-8")
        with _told(f"{repo} could not be written"):
            api.create_repo(repo, private=private, exist_ok=True)
            commit = api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message)
    return str(commit.commit_url)


def from_hub(
    repo: str,
    *,
    revision: str | None = None,
    reduction: Reduction = "mean",
    token: str | None = None,
    endpoint: str | None = None,
    cache_dir: str | Path | None = None,
) -> Loss:
    """Return a loss from a repository of the Hugging Face hub.

    Args:
        repo: OWNER/NAME.
        revision: a branch, tag or commit; by default the newest. Name a commit where the loss must
            stay the same.
        reduction: "mean", "sum" or "none".
        token: of an account that may read the repository, if it is private.
        endpoint: of the hub; by default HF_ENDPOINT, or https://huggingface.co.
        cache_dir: where downloads are kept; by default Hugging Face's own cache.

    Raises:
        MissingPackageError: huggingface_hub is not installed.
        DataError: there is no such repository, it holds no loss, or the hub cannot be reached.
        FileFormatError: what it holds is damaged, or no loss of a known format.
    """
    require_extra(EXTRA, "from_hub")
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint, token=token)
    fetch = partial(api.hf_hub_download, repo, cache_dir=cache_dir)
    with _told(f"{repo} could not be read"):
        path = Path(fetch(LOSS, revision=revision))
        if "weights" in read_json(path, MOST_BYTES):
            # Of the same commit, should another be pushed in between.
            fetch(WEIGHTS, revision=path.parent.name)
    return load(path, reduction=reduction)


def _loss_and_card(loss: LossLike, given: Card | None) -> tuple[Loss, Card | None]:
    if not isinstance(loss, str | Path):
        check_is_loss(loss)
        return loss, given
    name = str(loss)
    known = card(name) if given is None and is_in_zoo(name) else given
    return resolve_loss(name), known


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Tell errors of the hub in a line; those of its HTTP client have no base of their own."""
    try:
        yield
    except LossforgeError:
        raise
    except Exception as error:
        raise DataError(
            f"{what}: {one_line(error)}; check the name, the token and the connection"
        ) from None
