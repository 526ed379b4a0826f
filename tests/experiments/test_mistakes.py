"""A user's mistake in a call is one line that names culprit and remedy, before any training."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lossforge as lf
from lossforge.errors import LossforgeError

DATA = TensorDataset(torch.zeros(8, 4), torch.zeros(8, dtype=torch.long))

TASKS = {
    "loader": (DataLoader(DATA), "8 rows are too few to split"),
    "data set": (DATA, "8 rows are too few to split"),
    "unknown name": ("iris2", "did you mean 'iris'"),
    "tensor": (torch.zeros(3, 4), "the task is a Tensor"),
    "nothing": (None, "the task is a NoneType"),
    "class": (lf.tasks.Task, "the task is the class Task"),
    "number": (3, "the task is a int"),
}

LOSSES = {
    "class": (lf.losses.CrossEntropy, "the loss is the class CrossEntropy; give an instance"),
    "of torch": (nn.CrossEntropyLoss(), "the loss is a CrossEntropyLoss"),
    "of torch's class": (nn.CrossEntropyLoss, "give an instance: CrossEntropyLoss()"),
    "function": (lambda y, p: y - p, "the loss is a function"),
    "of the other kind": ("mse", "mse is a loss for regression, not classification"),
    "of the other kind, given": (lf.losses.Squared(), "is a loss for regression"),
    "unknown name": ("crossentropy", "did you mean 'cross_entropy'"),
    "no file": ("runs/nothing/loss.json", "runs/nothing/loss.json"),
    "wrong option": ("focal:x=1", "the options of focal are"),
    "number": (3, "the loss is a int"),
}

MODELS = {
    "network": (nn.Linear(5, 3), "does not take inputs of shape"),
    "unknown name": ("mpl", "did you mean 'mlp'"),
    "does not fit": ("lenet", "lenet"),
    "number": (3, "the model is a int"),
    "wrong outputs": (lambda: nn.Linear(4, 5), "outputs of shape"),
}

SETTINGS = {
    "no seeds": ({"seeds": 0}, "seeds must be at least 1"),
    "half a seed": ({"seeds": 1.5}, "seeds must be a whole number"),
    "negative seed": ({"seed": -1}, "seed must be at least 0"),
    "seed of text": ({"seed": "1"}, "seed must be a whole number"),
    "unknown setting": ({"step": 5}, "did you mean 'steps'"),
    "no steps": ({"steps": 0}, "steps must be at least 1"),
    "steps of text": ({"steps": "many"}, "steps must be a number"),
    "unknown preset": ({"preset": "fast"}, "no preset is named 'fast'"),
    "unknown tuning": ({"tune": "some"}, "no choice of tune"),
    "factors of text": ({"factors": ("x",)}, "factors must be numbers"),
    "factor of zero": ({"factors": (0.0,)}, "factors must be above 0"),
    "one factor": ({"factors": 3}, "factors must be numbers"),
    "adapt on": ({"adapt_on": "test"}, "no choice of adapt_on"),
    "recipe": ({"recipe": {"steps": 3}}, "recipe must be a Recipe"),
    "adalfl": ({"adalfl": "adalfl"}, "adalfl must be an AdaLFL"),
    "device": ({"device": "gpu9"}, "gpu9"),
    "out": ({"out": 3}, "out must be the path"),
    "resume": ({"resume": True}, "resume=True needs out="),
}


def complaint(call) -> str:
    with pytest.raises(LossforgeError) as raised:
        call()
    text = str(raised.value)
    assert "\n" not in text
    return text


@pytest.fixture(autouse=True)
def _no_training(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("task", "says"), TASKS.values(), ids=TASKS.keys())
@pytest.mark.parametrize(
    "call",
    [
        lambda task: lf.search("evomal", task),
        lf.train,
        lambda task: lf.compare(["cross_entropy"], task),
    ],
    ids=["search", "train", "compare"],
)
def test_tasks(call, task, says):
    assert says in complaint(lambda: call(task))


@pytest.mark.parametrize(
    "call",
    [
        lambda task: lf.search("evomal", task),
        lambda task: lf.compare(["cross_entropy"], task),
    ],
    ids=["search", "compare"],
)
def test_several_tasks_are_one_problem_each_and_alike(call):
    assert "8 rows are too few to split" in complaint(lambda: call(["iris", DataLoader(DATA)]))
    assert "give at least one task" in complaint(lambda: call([]))
    assert "iris is given twice" in complaint(lambda: call(["iris", "iris"]))
    assert "of one kind" in complaint(lambda: call(["diabetes", "iris"]))


def test_a_training_is_on_one_task():
    assert "the task is a list" in complaint(lambda: lf.train(["iris"]))


@pytest.mark.parametrize(("loss", "says"), LOSSES.values(), ids=LOSSES.keys())
def test_losses(loss, says):
    assert says in complaint(lambda: lf.train("iris", loss))
    assert says in complaint(lambda: lf.compare(["cross_entropy", loss], "iris"))
    assert says in complaint(lambda: lf.compare({"a": loss}, "iris"))
    if "other kind" not in says and "regression" not in says:
        assert says in complaint(lambda: lf.explain(loss))
        assert says in complaint(lambda: lf.export(loss, "torch"))


def test_comparisons_of_no_losses_or_of_one_twice():
    assert "give at least one" in complaint(lambda: lf.compare([], "iris"))
    twice = [lf.losses.CrossEntropy(), "cross_entropy"]
    assert "once" in complaint(lambda: lf.compare(twice, "iris"))
    assert "the loss is the class" in complaint(lambda: lf.compare(lf.losses.Focal, "iris"))


@pytest.mark.parametrize(("model", "says"), MODELS.values(), ids=MODELS.keys())
def test_models(model, says):
    for call in (
        lambda: lf.train("iris", model=model),
        lambda: lf.compare(["cross_entropy"], "iris", model),
        lambda: lf.search("evomal", "iris", model),
    ):
        assert says in complaint(call)


@pytest.mark.parametrize(("settings", "says"), SETTINGS.values(), ids=SETTINGS.keys())
def test_settings(settings, says):
    assert says in complaint(lambda: lf.compare(["cross_entropy"], "iris", **settings))
    if not {"seeds", "tune", "factors"} & set(settings):
        assert says in complaint(lambda: lf.train("iris", **settings))


@pytest.mark.parametrize(
    ("method", "settings", "says"),
    [
        ("evomol", {}, "did you mean 'evomal'"),
        (lf.EvoMAL, {}, "the method is the class EvoMAL; give an instance"),
        (lf.AdaLFL(), {}, "the method is a AdaLFL"),
        ("evomal", {"popultion": 3}, "did you mean 'population'"),
        ("evomal", {"population": 1}, "population"),
        ("evomal", {"compare_seeds": 0}, "compare_seeds"),
        ("evomal", {"comparison": 5}, "comparison must be a Comparison"),
    ],
)
def test_searches(method, settings, says):
    assert says in complaint(lambda: lf.search(method, "iris", **settings))


@pytest.mark.parametrize(
    ("method", "task", "settings", "says"),
    [
        ("mamll", "clusters", {}, "did you mean 'maml'"),
        (3, "clusters", {}, "the method must be a name"),
        ("maml", "clusterz", {}, "did you mean 'clusters'"),
        ("maml", "iris", {}, "no few-shot task is named 'iris'"),
        ("maml", lf.tasks.load("iris"), {}, "the task is a Task"),
        ("maml", "clusters", {"ways": 0}, "ways"),
        ("maml", "clusters", {"ways": 50}, "fewer than 50 ways"),
        ("maml", "clusters", {"meta_step": 1}, "did you mean 'meta_steps'"),
        ("ablation", "clusters", {"variants": ["mamll"]}, "did you mean 'maml'"),
    ],
)
def test_few_shot_learning(method, task, settings, says):
    assert says in complaint(lambda: lf.fewshot(method, task, **settings))


def test_forms_of_export_and_classes():
    assert "no form of export" in complaint(lambda: lf.export("focal", "c"))
    assert "classes must be at least 2" in complaint(lambda: lf.explain("focal", classes=1))
    assert "no run" in complaint(lambda: lf.resume("nothing"))
