"""Networks of other libraries are found by name, fitted to the task, and misfits are told."""

import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from lossforge.errors import ConfigurationError, LossforgeError, MissingPackageError
from lossforge.models import initialize, resolve
from lossforge.models.libraries import from_library
from lossforge.tasks import Split, Task, load


def token_task() -> Task:
    def split(start: int) -> Split:
        inputs = torch.randint(1, 20, (12, 6), generator=torch.Generator().manual_seed(start))
        inputs[:, -2:] = 0
        labels = torch.arange(12) % 2
        return Split(inputs, labels, torch.arange(start, start + 12))

    return Task("tokens", load("iris").kind, 2, split(0), split(12), split(24))


class Tiny(nn.Module):
    def __init__(self, num_classes: int, in_chans: int, pretrained: bool = False) -> None:
        super().__init__()
        self.body = nn.Linear(in_chans, 5)
        self.head = nn.Linear(5, num_classes)
        if pretrained:
            nn.init.constant_(self.body.weight, 0.5)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(inputs))


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(name: str, **options) -> nn.Module:
        if name != "tiny":
            raise RuntimeError(f"Unknown model ({name})")
        return Tiny(**options)

    module = ModuleType("timm")
    module.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", module)
    monkeypatch.setattr("lossforge.models.libraries.require_package", lambda *_: None)


@pytest.mark.usefixtures("timm")
def test_timm_networks_get_the_tasks_channels_and_classes():
    task = load("iris")
    network = initialize(resolve("timm:tiny", task), 0)
    assert network.body.in_features == 4
    assert network.head.out_features == 3
    tuned = initialize(resolve("timm:tiny,pretrained=true,freeze=body.*", task), 0)
    assert bool((tuned.body.weight == 0.5).all())
    assert not tuned.body.weight.requires_grad


@pytest.mark.usefixtures("timm")
def test_an_unknown_network_is_an_error_in_one_line():
    with pytest.raises(ConfigurationError, match=r"factory fails: Unknown model \(huge\)"):
        resolve("timm:huge", load("iris"))


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("timm:", "lacks the network's name; write timm:NAME"),
        ("hf:x,head=tail", "no head is named 'tail'"),
        ("hf:x,pretrained=false,freeze=a", "freeze needs pretrained=true"),
        ("hf:x,size=3", "no option of LibraryOptions is named 'size'"),
    ],
)
def test_malformed_names_are_refused(spec: str, complaint: str):
    with pytest.raises(LossforgeError, match=complaint):
        from_library(spec, load("iris"))


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lossforge.extras.find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=r"timm.*pip install timm"):
        resolve("timm:resnet18", load("iris"))


def test_other_names_are_no_librarys():
    assert from_library("mlp:width=4", load("iris")) is None


@pytest.fixture
def folder(tmp_path) -> str:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        **{"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2},
        **{"intermediate_size": 8, "max_position_embeddings": 8, "num_labels": 5},
    )
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    return str(tmp_path)


@pytest.mark.filterwarnings("ignore::Warning")
def test_transformers_networks_begin_with_their_weights_and_a_new_head(folder: str):
    task = token_task()
    factory = resolve(f"hf:{folder}", task)
    first, second = initialize(factory, 0), initialize(factory, 1)
    assert first(task.train.inputs).shape == (12, 2)
    words = [each.network.bert.embeddings.word_embeddings.weight for each in (first, second)]
    assert torch.equal(*words)
    frozen = initialize(resolve(f"hf:{folder},freeze=bert.*", task), 0)
    assert {n.split(".")[1] for n, p in frozen.named_parameters() if p.requires_grad} == {
        "classifier"
    }


@pytest.mark.filterwarnings("ignore::Warning")
def test_transformers_networks_can_be_drawn_anew(folder: str):
    task = token_task()
    factory = resolve(f"hf:{folder},pretrained=false", task)
    words = [
        initialize(factory, seed).network.bert.embeddings.word_embeddings.weight for seed in (0, 1)
    ]
    assert not torch.equal(*words)


@pytest.mark.filterwarnings("ignore::Warning")
def test_padding_changes_no_logit(folder: str):
    network = initialize(resolve(f"hf:{folder}", token_task()), 0).eval()
    short = torch.randint(1, 20, (3, 4))
    padded = torch.cat([short, torch.zeros(3, 2, dtype=torch.int64)], 1)
    torch.testing.assert_close(network(short), network(padded), atol=1e-5, rtol=1e-5)
