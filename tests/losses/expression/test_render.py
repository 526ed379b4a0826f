import pytest

from lossforge.losses.expression.render import LATEX, TEXT, Renderer
from lossforge.losses.expression.symbolic import Algebra
from lossforge.losses.expression.text import parse_weighted

CASES = [
    ("-y*log(p)", "-y·log|p|", r"-y \, \log\left|p\right|"),
    ("-1.02*y + p", "p - 1.02·y", r"p - 1.02 \, y"),
    ("aq(y - p, p)", "(y - p)/√(1 + p²)", r"\frac{\left(y - p\right)}{\sqrt{1 + p^{2}}}"),
    ("aq(1, y)", "1/√(1 + y²)", r"\frac{1}{\sqrt{1 + y^{2}}}"),
    ("aq(aq(y, p), y)", "y/(√(1 + p²)·√(1 + y²))", None),
    ("aq(y, log(p))", "y/√(1 + (log|p|)²)", None),
    ("abs(y)*sqrt(p)", "|y|·√|p|", r"\left|y\right| \, \sqrt{\left|p\right|}"),
    ("abs(p - abs(y))", "abs(p - |y|)", r"\left|p - \left|y\right|\right|"),
    ("log(p + sqrt(y))", "log(abs(p + √|y|))", None),
    ("log(p)**2", "(log|p|)²", r"\left(\log\left|p\right|\right)^{2}"),
    ("tanh(p)**2", "tanh(p)²", r"\tanh\left(p\right)^{2}"),
    ("(y - p)**2", "(p - y)²", r"\left(p - y\right)^{2}"),
    ("(2*p - 2*y)**2", "4·(p - y)²", r"4 \, \left(p - y\right)^{2}"),
    ("abs(0.5*p - 0.5*y)", "|0.5·(p - y)|", None),
    ("aq(3, 0.5*p - 0.5*y)", "3/√(1 + 0.25·(p - y)²)", None),
    ("0.5*p + 0.5*y", "0.5·(p + y)", None),
    ("min(y, 2*p) + sign(p)", "min(2·p, y) + sign(p)", None),
    ("2e-7*y", "2e-7·y", r"2 \cdot 10^{-7} \, y"),
    ("0.99999*y", "y", "y"),
    ("3", "3", "3"),
    ("y - y", "0", "0"),
]


@pytest.mark.parametrize(("source", "text", "latex"), CASES)
def test_print(source: str, text: str, latex: str | None):
    expr = Algebra(expand=False, readable=True).convert(*parse_weighted(source))
    assert Renderer(TEXT, digits=4).render(expr) == text
    if latex is not None:
        assert Renderer(LATEX, digits=4).render(expr) == latex
