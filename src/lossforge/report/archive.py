"""The candidates of a search, from its last checkpoint."""

import math
from dataclasses import replace
from typing import Any

from lossforge.report.charts import Candidate
from lossforge.report.facts import Facts, cost_of

MOST = 3000
"""candidates in a page"""

LONGEST = 160
"""characters of an expression in a page"""


def candidates_of(facts: Facts) -> list[Candidate]:
    """Return the candidates that were trained to the end; none where the checkpoint is unknown.

    Their formulas are the expressions as they were bred: simplifying a thousand takes minutes.
    """
    saved = facts.file("checkpoint.json") or {}
    try:
        evaluations = saved["content"]["state"]["archive"]["evaluations"]
        found = [_candidate(each) for each in evaluations[:MOST]]
    except (KeyError, TypeError, IndexError, ValueError):
        return []
    return [_shown(each, facts) for each in found if each is not None]


def _shown(candidate: Candidate, facts: Facts) -> Candidate:
    """Return a candidate with the value of the metric in place of its cost."""
    return replace(candidate, fitness=cost_of(facts.result, candidate.fitness))


def _candidate(evaluation: Any) -> Candidate | None:
    document, _, (fitness, _, outcome, *_) = evaluation
    expression = document.get("expression")
    if expression is None or outcome is not None or fitness is None:
        return None
    if not math.isfinite(fitness):
        return None
    size = len(document["coefficients"])
    text = expression if len(expression) <= LONGEST else f"{expression[: LONGEST - 1]}…"
    return Candidate(size, float(fitness), text)
