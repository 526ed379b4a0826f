"""Losses explained and exported from Python."""

import pytest

import lossforge as lf
from lossforge.errors import ConfigurationError, LossforgeError, RunError
from lossforge.losses import Huber


def test_explaining_leaves_the_loss_as_it_is():
    loss = lf.losses.SymbolicLoss("(y - p)**2").requires_grad_()
    before = loss.coefficients.dtype
    lf.explain(loss).plot()
    assert loss.coefficients.dtype == before
    assert loss.coefficients.requires_grad


@pytest.mark.parametrize("name", ["huber:delta=0.5"])
def test_a_known_loss_is_nearest_to_itself_by_name_object_and_path(name, tmp_path):
    loss = lf.losses.resolve.resolve_loss(name)
    lf.save(loss, tmp_path / "loss.json")
    for given in (name, loss, tmp_path / "loss.json"):
        report = lf.explain(given)
        assert report.explanation.matches[0].name == name
        assert report.to_dataframe()["name"][0] == name
        assert report.document()["matches"][0]["name"] == name


def test_plots_are_written(tmp_path):
    lf.explain("huber", plots=tmp_path / "plots")
    written = sorted((tmp_path / "plots").glob("*.png"))
    assert written
    assert all(path.with_suffix(".svg").is_file() for path in written)


def test_an_export_is_what_is_written(tmp_path):
    text = lf.export(Huber(0.5), "torch", out=tmp_path / "huber.py")
    assert (tmp_path / "huber.py").read_text() == text
    assert "huber:delta=0.5" in text
    with pytest.raises(RunError, match="exists"):
        lf.export(Huber(0.5), "torch", out=tmp_path / "huber.py")


@pytest.mark.parametrize("loss", [Huber, 3, None])
def test_what_is_no_loss_is_told(loss):
    with pytest.raises(ConfigurationError, match="the loss is"):
        lf.explain(loss)
    with pytest.raises(ConfigurationError, match="the loss is"):
        lf.export(loss, "torch")


def test_two_classes_are_needed():
    with pytest.raises(LossforgeError, match="classes"):
        lf.explain("focal", classes=1)
