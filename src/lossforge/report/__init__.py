"""A page about a run: one HTML file that needs no other, for people who would rather look.

`page_of` makes the page of a run from plain data (`Facts`); charts are small functions that return
SVG: `line_chart`, `strip_plot`, `critical_difference_chart`, `heat_map_chart` and others.
"""

from lossforge.report.charts import (
    Candidate,
    Film,
    Interval,
    Line,
    Mark,
    Share,
    Strip,
    film_chart,
    front_chart,
    interval_chart,
    line_chart,
    share_bar,
    strip_plot,
)
from lossforge.report.critical_difference import critical_difference_chart
from lossforge.report.facts import Facts
from lossforge.report.heat_map import heat_map_chart
from lossforge.report.loss import formula_html
from lossforge.report.mathml import to_mathml
from lossforge.report.page import Page, page_of, write_page

__all__ = [
    "Candidate",
    "Facts",
    "Film",
    "Interval",
    "Line",
    "Mark",
    "Page",
    "Share",
    "Strip",
    "critical_difference_chart",
    "film_chart",
    "formula_html",
    "front_chart",
    "heat_map_chart",
    "interval_chart",
    "line_chart",
    "page_of",
    "share_bar",
    "strip_plot",
    "to_mathml",
    "write_page",
]
