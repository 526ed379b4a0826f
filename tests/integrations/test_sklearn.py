"""The estimators are scikit-learn's in every respect, with the search inside."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import lossforge as lf
from lossforge.errors import ConfigurationError, UnknownNameError

TINY = {
    **{"population": 4, "generations": 1, "meta_steps": 1, "fitness_steps": 4, "filter_steps": 4},
    **{"compare_seeds": 1, "compare_steps": 4, "rival_steps": 4, "rival_runs": 1},
}
BOTH = (lf.LearnedLossClassifier, lf.LearnedLossRegressor)


def tiny(kind, **settings):
    given = {"model": "linear", "steps": 60, "search_settings": TINY, "random_state": 0}
    return kind(**(given | settings))


def failed(estimator) -> list[str]:
    checks = check_estimator(estimator, on_fail=None, on_skip=None)
    assert len(checks) > 40
    return [f"{c['check_name']}: {c['exception']}" for c in checks if c["status"] == "failed"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", BOTH)
def test_all_checks_of_scikit_learn_pass(kind):
    assert failed(tiny(kind, method=None)) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", BOTH)
def test_all_checks_of_scikit_learn_pass_with_a_search_inside(kind):
    assert failed(tiny(kind)) == []


@pytest.fixture
def fitted():
    return tiny(lf.LearnedLossClassifier, steps=300).fit(*load_iris(return_X_y=True))


def test_a_search_runs_inside(fitted):
    report = fitted.search_report_
    assert report.result["method"] == "evomal"
    name = report.recommended["name"]
    assert fitted.loss_ == (str(report.loss) if name == "learned" else name)
    inputs, labels = load_iris(return_X_y=True)
    assert fitted.score(inputs, labels) > 0.9
    assert np.allclose(fitted.predict_proba(inputs).sum(axis=1), 1)


def test_the_same_random_state_gives_the_same_network(fitted):
    inputs, labels = load_iris(return_X_y=True)
    again = clone(fitted).fit(inputs, labels)
    assert np.array_equal(fitted.predict_proba(inputs), again.predict_proba(inputs))
    kept = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(fitted.predict_proba(inputs), kept.predict_proba(inputs))


def test_labels_are_those_that_were_given():
    inputs, labels = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[labels]
    found = tiny(lf.LearnedLossClassifier, loss="focal").fit(inputs, names)
    assert set(found.predict(inputs)) <= set(names)
    assert found.loss_ == "focal"
    assert found.search_report_ is None


def test_numbers_are_predicted_in_their_unit():
    inputs, values = load_diabetes(return_X_y=True)
    found = tiny(lf.LearnedLossRegressor, loss="huber", steps=300).fit(inputs, values)
    assert found.score(inputs, values) > 0.4
    assert 0 < found.predict(inputs).min() < found.predict(inputs).max() < 350


def test_they_serve_in_pipelines_grids_and_cross_validation():
    inputs, labels = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), tiny(lf.LearnedLossClassifier, method=None))
    assert cross_val_score(pipeline, inputs, labels, cv=2).mean() > 0.8
    grid = {"loss": ["cross_entropy", "label_smoothing"]}
    found = GridSearchCV(tiny(lf.LearnedLossClassifier, method=None), grid, cv=2)
    assert found.fit(inputs, labels).best_params_["loss"] in grid["loss"]


def test_too_few_rows_are_said():
    inputs, labels = load_iris(return_X_y=True)
    with pytest.warns(UserWarning, match="are too few to hold some out: no loss is searched for"):
        tiny(lf.LearnedLossClassifier).fit(inputs[45:60], labels[45:60])


def test_mistakes_are_lossforge_s_errors():
    inputs, labels = load_iris(return_X_y=True)
    with pytest.raises(UnknownNameError, match="no method is named 'evomall'"):
        tiny(lf.LearnedLossClassifier, method="evomall").fit(inputs, labels)
    with pytest.raises(ConfigurationError, match="fractions must be positive"):
        tiny(lf.LearnedLossClassifier, held_out=0.4).fit(inputs, labels)
