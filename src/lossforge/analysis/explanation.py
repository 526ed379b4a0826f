"""What a loss is and does, for a person to decide whether to trust it."""

import copy
from dataclasses import asdict, dataclass, replace
from typing import Any, final

from lossforge.analysis.behavior import (
    Calibration,
    Path,
    calibration,
    is_bounded,
    is_convex,
    learning_rate_factor,
    of_one_row,
    path,
    rest_point,
)
from lossforge.analysis.nearest import (
    LEAST_PROBABILITY,
    Match,
    Mixture,
    at_mistakes,
    least_probability,
    mixture,
    nearest,
    ties,
)
from lossforge.files import plain
from lossforge.losses import Loss, SymbolicLoss
from lossforge.tasks.kinds import Kind
from lossforge.validation import require_in_range

FLAT = 1e-3
"""of the greatest force: less does not train"""

EXPLODES = 1e6

ALIKE = 0.1
"""of the gradient: a loss that leaves no more than this is held against its nearest known one"""

UNLIKE_AT_MISTAKES = 0.05
"""of the gradient: where the nearest loss leaves more at confident mistakes, the nearest one with
those counted is told as well"""


@final
@dataclass(frozen=True)
class Explanation:
    """What `explain` found.

    Attributes:
        loss: its formula or description.
        latex: the formula in LaTeX, None where there is none.
        kind: of the tasks it serves.
        classes: number of outputs that it was evaluated on.
        matches: known losses by how alike they train, the best first.
        learning_rate_factor: the force at the start of training, over the default loss's.
        null_force: the force at equal probabilities, or at an error of one.
        final_force: the force at a certain prediction, or at an error of 0.001.
        rest_point: the target's probability from which on the loss pushes back, if there is one.
        bounded: whether the force stays bounded for wrong predictions.
        convex: whether the loss is convex in p.
        calibration: on random posteriors; None for regression.
        minimum: the error at which a regression loss is least; None for classification.
        warnings: what its user needs to know.
        mixture: the sum of two known losses that is much nearer than each, if there is one.
        at_mistakes: what the best match leaves of the gradient at confident mistakes, which the
            matches do not count; None for regression.
        with_mistakes: the best match where those count as well; None where `at_mistakes` is small.
    """

    loss: str
    latex: str | None
    kind: Kind
    classes: int
    matches: tuple[Match, ...]
    learning_rate_factor: float
    null_force: float
    final_force: float
    rest_point: float | None
    bounded: bool
    convex: bool
    calibration: Calibration | None
    minimum: float | None
    warnings: tuple[str, ...]
    mixture: Mixture | None = None
    at_mistakes: float | None = None
    with_mistakes: Match | None = None

    def document(self) -> dict[str, Any]:
        """Return the explanation as plain data; what is not finite becomes None."""
        document: dict[str, Any] = plain(asdict(replace(self, kind=self.kind.name)))  # type: ignore[arg-type]
        return document

    def lines(self) -> list[tuple[str, str]]:
        """Return the explanation as labels and sentences."""
        best, tied = self.matches[0], ties(self.matches)
        others = self.matches[1:]
        second = ([match for match in others if match not in tied] or list(others))[:1]
        same = f"; as well as {', '.join(match.name for match in tied)}" if tied else ""
        usual = self.kind.words.default_loss
        unlike = "" if best.residual < 0.5 else "; it is unlike every loss that is known here"
        told = [
            ("loss", self.loss),
            ("nearest", f"{best.name}, {_likeness(best)}{same}{unlike}"),
            *(("then", f"{match.name}, {_likeness(match)}") for match in second),
            ("learning rate", f"at the start as if {usual}'s were {self.learning_rate_factor:.3g} "
             "times as large"),
        ]  # fmt: skip
        if self.mixture is not None:
            share = f"{1 - self.mixture.residual:.1%} of its gradient"
            told.insert(1, ("mixture", f"{self.mixture.name}, {share}"))
        told += self._mistakes()
        return told + (self._classes() if self.kind.predicts_probabilities else self._errors())

    def _mistakes(self) -> list[tuple[str, str]]:
        """Tell how far the likeness holds where the target has next to no probability."""
        if self.at_mistakes is None:
            return []
        shared = max(0.0, 1 - self.at_mistakes)
        told = (
            f"where the target has less than {least_probability(self.classes):.2g}, "
            f"{self.matches[0].name} is {shared:.1%} of its gradient"
        )
        if self.with_mistakes is not None:
            match = self.with_mistakes
            told += f"; with those, the nearest is {match.name}, {_likeness(match)}"
        return [("at mistakes", told)]

    def _classes(self) -> list[tuple[str, str]]:
        assert self.calibration is not None
        rest = "never pushes back: confidence grows as long as it is trained"
        if self.rest_point is not None:
            smoothing = (1 - self.rest_point) * self.classes / (self.classes - 1)
            rest = (
                f"pushes back from a probability of {self.rest_point:.3f} on, as label smoothing "
                f"of {smoothing:.3g} does"
            )
        agreement = self.calibration.agreement
        calibrated = (
            "yes" if agreement > 0.98 else f"no: the best prediction errs on {1 - agreement:.0%}"
        )
        return [
            ("at a guess", f"pulls the target's logit by {self.null_force:.3g}"),
            ("when certain", f"pulls by {self.final_force:.3g}; {rest}"),
            ("bounded force", _yes(self.bounded)),
            ("convex in p", _yes(self.convex)),
            (
                "calibrated",
                f"{calibrated} (numerically, {CLASSES_TRIED} classes); its best probabilities are "
                f"off by {self.calibration.distortion:.3f}",
            ),
        ]

    def _errors(self) -> list[tuple[str, str]]:
        assert self.minimum is not None
        return [
            ("at an error of 1", f"pulls by {self.null_force:.3g}"),
            ("near zero error", f"pulls by {self.final_force:.3g}"),
            ("least at", "zero error" if abs(self.minimum) < 2e-3 else f"{self.minimum:.3g}"),
            ("bounded force", f"{_yes(self.bounded)}{' (robust)' if self.bounded else ''}"),
            ("convex in p", _yes(self.convex)),
        ]


CLASSES_TRIED = 3


def explain(loss: Loss, classes: int = 10) -> Explanation:
    """Explain a loss by looking at its values and gradients in float64.

    Args:
        loss: any: symbolic, handcrafted, Taylor's, neural.
        classes: of the outputs on which it is looked at (classification).

    Raises:
        ConfigurationError: fewer than 2 classes.

    Source: thesis, ch. 5 (behavior at null prediction and at zero training error).

    Examples:
        >>> from lossforge.losses import LabelSmoothing
        >>> found = explain(LabelSmoothing(0.2))
        >>> found.matches[0].name, round(found.rest_point, 1)
        ('label_smoothing:smoothing=0.2', 0.8)
    """
    require_in_range("classes", classes, 2)
    kind = loss.kind
    loss, classes = of_one_row(copy.deepcopy(loss).double().requires_grad_(False), classes)
    way = path(loss, classes)
    classifies = loss.kind.predicts_probabilities
    guess = 1 / classes if classifies else 1.0
    middle = int((way.position - guess).abs().argmin())
    end = len(way.position) - 1 if classifies else int((way.position - 1e-3).abs().argmin())
    judged = calibration(loss) if classifies else None
    matches = tuple(nearest(loss, classes))
    mistakes = at_mistakes(loss, matches[0], classes)
    return Explanation(
        loss=str(loss),
        latex=loss.formula.latex if isinstance(loss, SymbolicLoss) else None,
        kind=kind,
        classes=classes,
        matches=matches,
        learning_rate_factor=learning_rate_factor(loss, classes),
        null_force=float(way.force[middle]),
        final_force=float(way.force[end]),
        rest_point=rest_point(way) if classifies else None,
        bounded=is_bounded(way),
        convex=is_convex(loss, classes),
        calibration=judged,
        minimum=None if classifies else float(way.position[int(way.value.argmin())]),
        warnings=(
            *_warnings(loss, way, judged, learning_rate_factor(loss, classes)),
            *_confident_mistakes(matches[0], way, classes),
        ),
        mixture=mixture(loss, matches[0], classes),
        at_mistakes=mistakes,
        with_mistakes=(
            nearest(loss, classes, with_mistakes=True)[0]
            if mistakes is not None and mistakes > UNLIKE_AT_MISTAKES
            else None
        ),
    )


def _warnings(loss: Loss, way: Path, judged: Calibration | None, factor: float) -> tuple[str, ...]:
    if not bool(way.force.isfinite().all() and way.value.isfinite().all()):
        return ("values or gradients are not finite on ordinary predictions: do not train on it",)
    found = [*_direction(loss, way), *_flatness(loss, way)]
    if float(way.force.abs().max()) > EXPLODES:
        found.append("gradients explode for predictions that are far off: clip them")
    if judged is not None and judged.agreement <= 0.98:
        found.append(
            "not calibrated: even the best network would favor a wrong class in "
            f"{1 - judged.agreement:.0%} of ambiguous cases"
        )
    if not 0.2 <= factor <= 5:
        advice = f"multiply the learning rate by {1 / factor:.2g}" if factor > 0 else "do not use"
        found.append(f"its steps begin {factor:.2g} times as large as usual: {advice}")
    return tuple(found)


def _direction(loss: Loss, way: Path) -> list[str]:
    """Warn where a step moves the output away from the target."""
    wrong = way.force < -FLAT * way.force.abs().max()
    if loss.kind.predicts_probabilities:
        wrong = wrong & (way.position < 0.5)
        where = "target probabilities"
    else:
        wrong = wrong & (way.position.abs() > 0.05)
        where = "errors"
    if not bool(wrong.any()):
        return []
    low, high = float(way.position[wrong].min()), float(way.position[wrong].max())
    return [f"gradients point the wrong way for {where} from {low:.2g} to {high:.2g}"]


def _flatness(loss: Loss, way: Path) -> list[str]:
    """Warn where the gradient vanishes although the prediction is wrong."""
    if loss.kind.predicts_probabilities:
        concerned, where = (way.position > 0.01) & (way.position < 0.6), "target probabilities"
    else:
        concerned = (way.position.abs() > 0.1) & (way.position.abs() < 3)
        where = "errors"
    position = way.position.abs()
    greatest = way.force[concerned].abs().max()
    flat = concerned & (way.force.abs() < FLAT * greatest)
    if float(flat.sum()) < 0.05 * float(concerned.sum()):
        return ["constant: nothing is learned from it"] if float(greatest) == 0 else []
    low, high = float(position[flat].min()), float(position[flat].max())
    return [f"flat for {where} from {low:.2g} to {high:.2g}: nothing is learned from those"]


def _confident_mistakes(match: Match, way: Path, classes: int) -> list[str]:
    """Warn where a loss gives up mistakes that its nearest known loss pulls at."""
    known = match.known_loss
    if not known.kind.predicts_probabilities or match.residual > ALIKE:
        return []
    expected = match.factor * path(known, classes).force
    weak = (way.position < LEAST_PROBABILITY) & (way.force < 0.5 * expected)
    if not bool(weak.any()):
        return []
    return [
        f"for target probabilities below {float(way.position[weak].max()):.1g} it pulls less than "
        f"half as much as {match.name}: confident mistakes are given up"
    ]


def _likeness(match: Match) -> str:
    return f"{1 - match.residual:.1%} of its gradient, times {match.factor:.3g}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
