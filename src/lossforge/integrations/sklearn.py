"""scikit-learn estimators that search for a loss, then train a network under the best one.

They fit into pipelines, grid searches and cross-validation; the search sees the rows given to
`fit` and no others.
"""

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from lossforge.errors import NoCandidateError
from lossforge.experiments import SearchReport, search
from lossforge.experiments.arguments import Preset
from lossforge.experiments.closing import LEARNED
from lossforge.experiments.train_run import train
from lossforge.losses import Loss
from lossforge.methods import Method
from lossforge.models import Model
from lossforge.tasks import Kind, Task
from lossforge.tasks.kinds import Classification, Regression
from lossforge.tasks.splits import FEWEST_ROWS
from lossforge.tasks.task import Split

PARTS = 3
"""splits: each class needs a row in every one"""


class _LearnedLoss(BaseEstimator):
    """What both estimators share: the search, and the training under what it recommends."""

    _kind: ClassVar[Kind]

    def __init__(
        self,
        method: str | Method[Any, Any] | None = "evomal",
        model: Model = "mlp:width=64",
        *,
        preset: Preset = "quick",
        search_settings: Mapping[str, Any] | None = None,
        loss: str | Loss | None = None,
        steps: int = 1000,
        learning_rate: float | None = None,
        held_out: float = 0.15,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ):
        self.method = method
        self.model = model
        self.preset = preset
        self.search_settings = search_settings
        self.loss = loss
        self.steps = steps
        self.learning_rate = learning_rate
        self.held_out = held_out
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _fit(self, inputs: NDArray[Any], targets: NDArray[Any], strata: NDArray[Any]) -> None:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.mean_, deviation = inputs.mean(axis=0), inputs.std(axis=0)
        self.scale_ = np.where(np.ptp(inputs, axis=0) == 0, 1.0, deviation)
        scaled = (inputs - self.mean_) / self.scale_
        task = self._task(scaled, targets, strata, seed)
        loss: str | Loss | None = self.loss
        rate = self.learning_rate
        self.search_report_: SearchReport | None = None
        if task is None:
            warnings.warn(
                f"{len(inputs)} rows, or a class with fewer than {PARTS}, are too few to hold some "
                "out: no loss is searched for, and the network is validated by its training rows",
                stacklevel=3,
            )
            task = self._whole(scaled, targets)
        elif self.method is not None and self.loss is None:
            try:
                loss, searched_rate = self._searched(task, seed)
                rate = searched_rate if rate is None else rate
            except NoCandidateError as error:
                warnings.warn(f"{error}; the default loss trains the network", stacklevel=3)
        settings: dict[str, Any] = {"steps": self.steps}
        if rate is not None:
            settings["learning_rate"] = rate
        report = train(
            task,
            loss,
            self.model,
            seed=seed,
            preset=self.preset,
            device=self.device,
            progress=bool(self.verbose),
            **settings,
        )
        assert report.network is not None  # in memory, it always is
        # In float64 a row's outputs do not depend on the rows beside it.
        self.network_ = report.network.cpu().double().eval()
        self.loss_ = report.result["loss"] if loss is None else str(loss)
        self.test_metric_ = report.result["test"]

    def _searched(self, task: Task, seed: int) -> tuple[str | Loss, float]:
        """Return the loss that a search recommends, and the learning rate."""
        assert self.method is not None
        found = search(
            self.method,
            task,
            self.model,
            seed=seed,
            preset=self.preset,
            device=self.device,
            progress=bool(self.verbose),
            **(self.search_settings or {}),
        )
        self.search_report_ = found
        best = found.recommended
        return found.loss if best["name"] == LEARNED else str(best["name"]), float(best["rate"])

    def _task(
        self, inputs: NDArray[Any], targets: NDArray[Any], strata: NDArray[Any], seed: int
    ) -> Task | None:
        """Return the rows as a task; None where there are too few."""
        if len(inputs) < FEWEST_ROWS or np.unique(strata, return_counts=True)[1].min() < PARTS:
            return None
        share = self.held_out
        return Task.from_arrays(
            inputs,
            targets,
            kind=self._kind,
            fractions=(1 - 2 * share, share, share),
            scale_inputs=False,
            name=type(self).__name__,
            split_seed=seed,
        )

    def _whole(self, inputs: NDArray[Any], targets: NDArray[Any]) -> Task:
        """Return a task whose training rows also validate and test."""
        values = torch.from_numpy(inputs).float()
        is_regression = not self._kind.predicts_probabilities
        wanted = torch.from_numpy(targets)
        wanted = wanted[:, None].float() if is_regression else wanted.long()
        outputs = 1 if is_regression else len(np.unique(targets))
        count = len(values)
        train, valid, test = (
            Split(values, wanted, torch.arange(count) + i * count) for i in range(PARTS)
        )
        return Task(type(self).__name__, self._kind, outputs, train, valid, test)

    def _outputs(self, inputs: Any) -> NDArray[np.float64]:
        check_is_fitted(self, "network_")
        values = validate_data(self, inputs, dtype=np.float64, reset=False)
        with torch.no_grad():
            scaled = torch.from_numpy((values - self.mean_) / self.scale_)
            outputs: NDArray[np.float64] = self.network_(scaled).numpy()
        return outputs


class LearnedLossClassifier(ClassifierMixin, _LearnedLoss):
    """A network classifier, trained under a loss that is searched for on the given rows.

    The rows are split into training, validation and test rows. A search finds a loss; it, or a
    handcrafted loss where that does better on validation rows, trains the network.

    Args:
        method: of the search: a name or a search method; None searches for nothing.
        model: a name with options, or a function that returns a fresh network.
        preset: "quick" (minutes) or "paper"; sets the budget of search and training.
        search_settings: hyper-parameters of the search that differ from the preset's, such as
            ``{"population": 8, "generations": 3}``.
        loss: to train under instead of searching: a name with options, a path, or a loss.
        steps: of the final training.
        learning_rate: of the final training; by default what the search recommends.
        held_out: share of the rows that validate, and as many test.
        device: cpu or cuda.
        random_state: the same number gives the same network on the same machine.
        verbose: show progress.

    Attributes:
        classes_: labels, sorted.
        network_: the trained network, in float64.
        loss_: what it was trained under.
        search_report_: of the search; None where there was none.
        test_metric_: error rate on the rows held out for the test.
        n_features_in_: columns that `fit` saw.

    Examples:
        >>> from sklearn.datasets import load_iris
        >>> inputs, labels = load_iris(return_X_y=True)
        >>> found = LearnedLossClassifier(loss="focal", model="linear", random_state=0)
        >>> found.fit(inputs, labels).score(inputs, labels) > 0.9
        True
    """

    _kind: ClassVar[Kind] = Classification()

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Search for a loss and train the network under what is recommended.

        Args:
            X: [N, features].
            y: [N] labels.

        Raises:
            ValueError: the rows are no numbers, or of one class.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)  # noqa: N806
        check_classification_targets(y)
        if type_of_target(y).startswith("multilabel"):
            raise ValueError("labels of several columns are not supported; give one label a row")
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("the targets hold one class; a classifier needs two or more")
        self._fit(X, labels, labels)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return [N, classes] probabilities."""
        probabilities: NDArray[np.float64] = torch.from_numpy(self._outputs(X)).softmax(1).numpy()
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return [N] labels."""
        outputs = self._outputs(X)
        labels: NDArray[Any] = self.classes_[outputs.argmax(axis=1)]
        return labels


class LearnedLossRegressor(RegressorMixin, _LearnedLoss):
    """A network that predicts numbers, trained under a loss that is searched for.

    Args and attributes are those of `LearnedLossClassifier`, without ``classes_``; `test_metric_`
    is the mse of standardized targets.

    Examples:
        >>> from sklearn.datasets import load_diabetes
        >>> inputs, values = load_diabetes(return_X_y=True)
        >>> found = LearnedLossRegressor(loss="huber", model="linear", random_state=0)
        >>> found.fit(inputs, values).score(inputs, values) > 0.4
        True
    """

    _kind: ClassVar[Kind] = Regression()

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Search for a loss and train the network under what is recommended.

        Args:
            X: [N, features].
            y: [N] numbers.

        Raises:
            ValueError: the rows are no numbers, or all targets are equal.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)  # noqa: N806
        self.target_mean_, self.target_scale_ = float(y.mean()), float(y.std())
        if self.target_scale_ == 0:
            raise ValueError("all targets are equal; there is nothing to learn")
        scaled = (y - self.target_mean_) / self.target_scale_
        self._fit(X, scaled, np.zeros(len(y)))
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return [N] numbers."""
        return self._outputs(X)[:, 0] * self.target_scale_ + self.target_mean_
