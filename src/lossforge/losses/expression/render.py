"""SymPy expressions of the language in print: readable text or LaTeX, by one walk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from lossforge.losses.expression.primitives import PRIMITIVES, Notation

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@final
@dataclass(frozen=True, slots=True)
class Style:
    """Templates for the parts of a formula.

    Attributes:
        times: what stands between factors.
        group: brackets.
        fraction: numerator and denominator.
        damp: the denominator that damp(b) stands for, of b².
        power: base and exponent.
        scientific: mantissa and exponent of a number.
        call: any other function, name and arguments.
        nested: whether bars within bars are written otherwise.
        functions: notation of functions that are no primitives.
    """

    times: str
    group: str
    fraction: str
    damp: str
    power: str
    scientific: str
    call: str
    nested: bool
    functions: Mapping[str, str]

    def template(self, name: str, arguments: str) -> str:
        """Return how to write a function, with {} for each argument or one {} for all."""
        notation = PRIMITIVES[name].notation if name in PRIMITIVES else Notation()
        if not self.nested:
            return notation.latex or self.functions.get(name, "")
        if "|" in arguments and notation.nested:
            return notation.nested
        return notation.text


TEXT = Style(
    times="·",
    group="({})",
    fraction="{}/{}",
    damp="√(1 + {})",
    power="{}{}",
    scientific="{}e{}",
    call="{}({})",
    nested=True,
    functions={},
)
LATEX = Style(
    times=r" \, ",
    group=r"\left({}\right)",
    fraction=r"\frac{{{}}}{{{}}}",
    damp=r"\sqrt{{1 + {}}}",
    power="{}^{{{}}}",
    scientific=r"{} \cdot 10^{{{}}}",
    call=r"\operatorname{{{}}}\left({}\right)",
    nested=False,
    functions={"softplus": r"\log\left(1 + e^{{{}}}\right)"},
)


@final
@dataclass(frozen=True, slots=True)
class Renderer:
    """Writes expressions in one style with numbers of so many significant digits.

    Examples:
        >>> from lossforge.losses.expression.symbolic import P, Y, function
        >>> log, damp = function("log"), function("damp")
        >>> Renderer(TEXT, digits=2).render(1.0 * Y * log(P) - 0.123 * Y * damp(P))
        'y·log|p| - 0.12·y/√(1 + p²)'
    """

    style: Style
    digits: int

    def render(self, expr: Any) -> str:
        """Return the text of a SymPy expression made by `Algebra`."""
        common = self._common(expr)
        if common != 1:
            group = self.style.group.format(self.render(expr / common))
            return self.style.times.join((self._number(common), group))
        terms = [self._term(term) for term in expr.as_ordered_terms()]
        first = next((i for i, (negative, _) in enumerate(terms) if not negative), 0)
        negative, text = terms.pop(first)
        text = f"-{text}" if negative else text
        return text + "".join(f" {'-' if minus else '+'} {term}" for minus, term in terms)

    def _term(self, term: Any) -> tuple[bool, str]:
        number, rest = term.as_coeff_Mul()
        above: list[str] = []
        below: list[str] = []
        for factor in rest.as_ordered_factors() if rest != 1 else ():
            base, exponent = factor.as_base_exp()
            common = self._common(base)
            number *= common**exponent
            bare = factor if common == 1 else (base / common) ** exponent
            (below if _is_damp(bare) else above).append(self._factor(bare))
        magnitude = self._number(abs(number))
        if magnitude != "1" or not above:
            above.insert(0, magnitude)
        text = self.style.times.join(above)
        if below:
            denominator = self.style.times.join(below)
            if len(below) > 1:
                denominator = self.style.group.format(denominator)
            text = self.style.fraction.format(text, denominator)
        return bool(number < 0), text

    def _common(self, expr: Any) -> Any:
        """Return the number that all terms of a sum have, up to their signs and to rounding."""
        if not expr.is_Add:
            return 1
        numbers = [abs(term.as_coeff_Mul()[0]) for term in expr.args]
        texts = {self._number(number) for number in numbers}
        return numbers[0] if len(texts) == 1 and texts != {"1"} else 1

    def _factor(self, expr: Any) -> str:
        if expr.is_Symbol:
            return str(expr)
        if expr.is_Pow:
            return self._power(expr.base, int(expr.exp))
        if expr.is_Function:
            return self._function(expr)
        return self.style.group.format(self.render(expr))

    def _power(self, base: Any, exponent: int) -> str:
        text = self._factor(base)
        if base.is_Function and not _is_closed(base.func.__name__):
            text = self.style.group.format(text)
        raised = str(exponent)
        if self.style is TEXT:
            raised = raised.translate(_SUPERSCRIPTS)
        return self.style.power.format(text, raised)

    def _function(self, expr: Any) -> str:
        name = expr.func.__name__
        if name == "damp":
            return self.style.damp.format(self._damped(expr.args[0]))
        each = [self.render(argument) for argument in expr.args]
        arguments = ", ".join(each)
        template = self.style.template(name, arguments)
        if not template:
            return self.style.call.format(name, arguments)
        one_for_all = template.replace("{{", "").count("{}") == 1
        return template.format(arguments) if one_for_all else template.format(*each)

    def _damped(self, base: Any) -> str:
        """Return the square of what damps."""
        common = self._common(base)
        if common == 1:
            return self._power(base, 2)
        return self.style.times.join((self._number(common**2), self._power(base / common, 2)))

    def _number(self, number: Any) -> str:
        mantissa, _, exponent = f"{float(number):.{self.digits}g}".partition("e")
        return self.style.scientific.format(mantissa, int(exponent)) if exponent else mantissa


def _is_damp(factor: Any) -> bool:
    base = factor.base if factor.is_Pow else factor
    return bool(base.is_Function and base.func.__name__ == "damp")


def _is_closed(name: str) -> bool:
    return name != "damp" and (name not in PRIMITIVES or PRIMITIVES[name].notation.closed)
