"""Kinds: outputs and targets as rows, (y, p), the maps between derivatives, metrics and checks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossforge.errors import ConfigurationError, DataError
from lossforge.tasks import Split, Task
from lossforge.tasks.kinds import KINDS, Classification, MultiLabel, Regression, as_kind

EACH = [make() for make in KINDS.values()]
SHAPES = [(4, 3), (4, 1), (2, 3, 5), (2, 3, 4, 5)]
each = pytest.mark.parametrize("kind", EACH, ids=str)
of_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def targets_for(kind, shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    if kind.name == "classification":
        return torch.randint(max(2, shape[1]), (shape[0], *shape[2:]), generator=draw)
    if kind.name == "multilabel":
        return torch.randint(2, shape, generator=draw)
    return torch.randn(shape, generator=draw, dtype=torch.float64)


@each
@given(st.integers(0, 99), st.sampled_from([1, 2, 5]))
def test_pull_back_and_push_forward_are_the_jacobian_s(kind, seed, classes):
    draw = torch.Generator().manual_seed(seed)
    outputs, direction, cotangent = torch.randn(3, 4, classes, generator=draw, dtype=torch.float64)
    p, tangent = torch.func.jvp(kind.predictions, (outputs,), (direction,))
    torch.testing.assert_close(kind.push_forward(direction, p), tangent)
    _, vjp = torch.func.vjp(kind.predictions, outputs)
    torch.testing.assert_close(kind.pull_back(cotangent, p), vjp(cotangent)[0])


@each
@of_shape
def test_rows_are_linear_and_from_rows_is_the_adjoint(kind, shape):
    outputs = torch.randn(shape, dtype=torch.float64)
    rows = kind.rows(outputs, targets_for(kind, shape))
    assert rows.outputs.shape[-1] == kind.row_size(shape[1])
    found, back = torch.func.vjp(lambda f: kind.to_rows(f, outputs.shape), outputs)
    assert torch.equal(found, rows.outputs)
    cotangent = torch.randn_like(found)
    torch.testing.assert_close(rows.restored(cotangent), back(cotangent)[0])
    torch.testing.assert_close(rows.flattened(2 * outputs), 2 * rows.outputs)


@each
@of_shape
def test_networks_in_a_stack_have_the_rows_of_each(kind, shape):
    outputs, targets = torch.randn(6, *shape), targets_for(kind, shape)
    assert not kind.is_common(outputs, targets)
    assert kind.is_common(outputs[0], targets)
    stacked = kind.rows(outputs, targets)
    assert stacked.shape == outputs.shape[1:]
    for one, alone in zip(outputs, stacked.outputs, strict=True):
        assert torch.equal(kind.rows(one, targets).outputs, alone)
    assert torch.equal(kind.rows(outputs[0], targets).targets, stacked.targets)
    scores = kind.scores(outputs, targets)
    assert torch.equal(scores[2], kind.scores(outputs[2], targets))
    assert stacked.restored(stacked.outputs).shape == outputs.shape


@each
@of_shape
def test_a_network_that_fits_is_told_by_its_shape(kind, shape):
    assert kind.output_shape(shape[1], targets_for(kind, shape)) == shape


def test_classes_stand_in_the_second_dimension():
    outputs, labels = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5))
    rows = Classification().rows(outputs, labels)
    assert torch.equal(rows.outputs.view(2, 4, 5, 3)[1, 2, 3], outputs[1, :, 2, 3])
    assert torch.equal(rows.by_position(rows.targets), labels)
    y = Classification().encode(rows.targets, rows.outputs)
    assert torch.equal(y.argmax(1), labels.flatten())
    torch.testing.assert_close(Classification().predictions(rows.outputs).sum(1), torch.ones(40))


@pytest.mark.parametrize(
    ("targets", "outputs", "kind", "says"),
    [
        (torch.tensor([3]), torch.zeros(1, 3), "classification", "outside 0 to 2"),
        (torch.tensor([-1]), torch.zeros(1, 3), "classification", "outside 0 to 2"),
        (torch.tensor([2]), torch.zeros(1, 1), "classification", "outside 0 to 1"),
        (torch.tensor([0.0]), torch.zeros(1, 3), "classification", r"\.long\(\)"),
        (torch.tensor([0, 1]), torch.zeros(1, 3), "classification", "do not fit"),
        (torch.tensor([0, 1]), torch.zeros(2), "classification", r"unsqueeze\(1\)"),
        (torch.zeros(4), torch.zeros(4, 2), "regression", "do not fit"),
        (torch.zeros(4, 1), torch.zeros(4), "regression", "do not fit"),
        (torch.zeros(4, 3), torch.zeros(4, 2), "regression", "do not fit"),
        (torch.tensor([[2, 0]]), torch.zeros(1, 2), "multilabel", "outside 0 to 1"),
        (torch.tensor([[1.5, 0]]), torch.zeros(1, 2), "multilabel", "outside 0 to 1"),
        (torch.tensor([1]), torch.zeros(1, 2), "multilabel", "do not fit"),
    ],
)
def test_targets_that_do_not_fit_are_told(targets, outputs, kind, says):
    with pytest.raises(DataError, match=says):
        as_kind(kind).rows(outputs, targets)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_labels_of_every_integer_type_serve(dtype):
    found = Classification().rows(torch.zeros(3, 3), torch.tensor([0, 2, 1], dtype=dtype))
    assert torch.equal(found.targets, torch.tensor([0, 2, 1]))


@each
def test_half_precision_becomes_single(kind):
    for dtype, expected in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        outputs = torch.zeros(4, 3, dtype=dtype)
        assert kind.rows(outputs, targets_for(kind, (4, 3))).outputs.dtype == expected


@pytest.mark.parametrize("index", [-100, 255, 1])
def test_what_is_ignored_is_in_no_row_that_counts(index):
    labels = torch.tensor([[0, 2], [index, index]])
    rows = Classification(index).rows(torch.zeros(2, 3, 2), labels)
    assert rows.ignored.tolist() == [False, False, True, True]
    assert int(rows.targets.max()) < 3
    assert len(Classification(index).scores(torch.zeros(2, 3, 2), labels)) == 2
    share = rows.averaged(torch.ones(4, 3))
    assert share[:, 0].tolist() == [0.5, 0.5, 0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_labels_of_which_nothing_is_known_are_ignored(dtype):
    targets = torch.tensor([[1, -100], [0, 1]], dtype=dtype)
    rows = MultiLabel().rows(torch.zeros(2, 2), targets)
    assert rows.ignored.tolist() == [False, True, False, False]


def test_stacked_outputs_share_their_targets():
    outputs = torch.tensor([[[2.0, 1.0], [2.0, 1.0]], [[1.0, 2.0], [1.0, 2.0]]])
    found = Classification().scores(outputs, torch.tensor([0, 1]))
    assert found.tolist() == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize(
    ("kind", "outputs", "targets", "expected"),
    [
        ("classification", [[0.3], [-0.3]], [1, 1], 0.5),
        ("classification", [[2.0, 1.0], [0.0, 1.0]], [1, 1], 0.5),
        ("classification", [[2.0, 1.0], [0.0, 1.0]], [[0.1, 0.9], [0.2, 0.8]], 0.5),
        ("classification", [[-1.0], [2.0]], [0, 0], 0.5),
        ("classification", [[[2.0, 0.0], [1.0, 1.0]]], [[1, 1]], 0.5),
        ("regression", [[3.0, 1.0]], [[0.0, 0.0]], 5.0),
        ("regression", [[1.0], [3.0]], [1.0, 1.0], 2.0),
        ("regression", [[1.0, 5.0], [3.0, 5.0]], [[1.0, 5.0], [1.0, 5.0]], 1.0),
        ("multilabel", [[1.0, -1.0], [3.0, 5.0]], [[1, 1], [0, 1]], 0.5),
    ],
)
def test_the_metric_is_the_mean_of_the_rows_scores(kind, outputs, targets, expected):
    found = as_kind(kind).scores(torch.tensor(outputs), torch.tensor(targets))
    assert found.mean().item() == pytest.approx(expected)
    measures = as_kind(kind).measures(torch.tensor(outputs), torch.tensor(targets))
    assert measures[as_kind(kind).metric] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_f1_is_scikit_learn_s(seed):
    from sklearn.metrics import f1_score

    draw = torch.Generator().manual_seed(seed)
    outputs = torch.randn(20, 3, generator=draw)
    targets = torch.randint(2, (20, 3), generator=draw)
    found = MultiLabel().measures(outputs, targets)
    said = (outputs > 0).int().numpy()
    expected = f1_score(targets.numpy(), said, average=None, zero_division=0)
    assert found["f1_by_label"] == pytest.approx(expected.tolist())
    assert found["f1"] == pytest.approx(f1_score(targets.numpy(), said, average="macro"))
    wrong = (said != targets.numpy()).mean(0)
    assert found["error_rate_by_label"] == pytest.approx(wrong.tolist())


def test_unknown_labels_are_in_no_measure():
    outputs, targets = torch.tensor([[1.0], [1.0], [-1.0]]), torch.tensor([[1], [-100], [0]])
    found = MultiLabel().measures(outputs, targets)
    assert found == {
        "error_rate": 0.0,
        "f1": 1.0,
        "error_rate_by_label": [0.0],
        "f1_by_label": [1.0],
    }


@each
def test_a_name_stands_for_a_kind(kind):
    assert as_kind(kind.name) == as_kind(kind) == kind
    assert str(kind) == kind.tag == kind.name


def test_other_names_are_refused():
    for wrong in ("ordinal", None, 3):
        with pytest.raises(ConfigurationError, match="classification or multilabel or regression"):
            as_kind(wrong)
    with pytest.raises(ConfigurationError, match="integer"):
        Classification(ignore_index="void")
    with pytest.raises(ConfigurationError, match="no labels"):
        Regression().with_ignore_index(0)


def test_a_digest_tells_what_is_ignored():
    assert Classification(255).tag != Classification().tag


def parts(targets):
    starts = range(0, 300, 100)
    rows = [torch.arange(start, start + len(targets)) for start in starts]
    return [Split(torch.randn(len(targets), 2), targets, each) for each in rows]


def test_tasks_have_positions_and_several_labels():
    pixels = torch.randint(3, (8, 4, 4))
    pixels[:, 0] = 255
    pixels[0, 1, :3] = torch.arange(3)
    task = Task("pixels", Classification(255), 3, *parts(pixels))
    assert task.metric == "error_rate"
    tags = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-100.0, 1.0]])
    assert Task("tags", "multilabel", 2, *parts(tags)).kind == MultiLabel()


@pytest.mark.parametrize(
    ("kind", "outputs", "targets", "says"),
    [
        (Classification(), 3, torch.full((6, 4), -100), "no label of the train split counts"),
        (Classification(255), 2, torch.tensor([[0, 1, 2, 255]] * 6), "run from 0 to 2"),
        (MultiLabel(), 3, torch.zeros(6, 2), r"float32 or int64 \[rows, 3\]"),
        (MultiLabel(), 2, torch.zeros(6, 2), "label 0, 1 is the same on all training rows"),
        (MultiLabel(), 2, torch.full((6, 2), 3.0), "run from 3 to 3"),
        (MultiLabel(), 2, torch.full((6, 2), -100), "no target of the train split counts"),
    ],
)
def test_targets_of_tasks_are_checked(kind, outputs, targets, says):
    with pytest.raises(DataError, match=says):
        Task("bad", kind, outputs, *parts(targets))
