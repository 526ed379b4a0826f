r"""Formulas for browsers: MathML from the LaTeX that lossforge and SymPy write.

Not all of LaTeX: numbers, letters, fractions, roots, powers, brackets, and functions by name.
"""

import re
from collections.abc import Callable, Iterator
from html import escape
from typing import final

from lossforge.errors import ConfigurationError

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|[A-Za-z]|\S")

FUNCTIONS = frozenset(
    {"log", "ln", "exp", "min", "max", "sinh", "cosh", "tanh"}
    | {prefix + name for prefix in ("", "arc") for name in ("sin", "cos", "tan")}
)
SPACES = {r"\,": "0.17em", r"\;": "0.28em", r"\ ": "0.33em", r"\quad": "1em"}
SYMBOLS = {r"\cdot": "·", r"\times": "×", r"\le": "≤", r"\ge": "≥", r"\pm": "±"}  # noqa: RUF001
GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "sigma": "σ"}  # noqa: RUF001
WORDS = {
    **{name: f'<mspace width="{width}"/>' for name, width in SPACES.items()},
    **{name: f"<mo>{symbol}</mo>" for name, symbol in SYMBOLS.items()},
    **{f"\\{name}": f"<mi>{name}</mi>" for name in FUNCTIONS},
    **{f"\\{name}": f"<mi>{letter}</mi>" for name, letter in GREEK.items()},
}
"""what commands without arguments become"""

MINUS = "−"  # noqa: RUF001


def to_mathml(latex: str) -> str:
    r"""Return a formula as a block of MathML.

    Args:
        latex: without delimiters.

    Raises:
        ConfigurationError: it has what this converter does not know.

    Examples:
        >>> to_mathml(r"\frac{y}{2}")
        '<math display="block"><mfrac><mi>y</mi><mn>2</mn></mfrac></math>'
    """
    reader = _Reader(TOKEN.findall(latex), latex)
    return f'<math display="block">{_row(list(reader.items(None)))}</math>'


@final
class _Reader:
    """Reads tokens from left to right; each method returns MathML."""

    def __init__(self, tokens: list[str], latex: str):
        self._tokens, self._place, self._latex = tokens, 0, latex

    def items(self, end: str | None) -> Iterator[str]:
        """Yield elements up to the token `end`, which is consumed; None for the end of the text."""
        items: list[str] = []
        while True:
            if self._place == len(self._tokens):
                if end is not None:
                    raise self._error(f"{end} is missing")
                break
            token = self._next()
            if token == end:
                break
            if token in ("^", "_"):
                if not items:
                    raise self._error(f"{token} follows nothing")
                tag = "msup" if token == "^" else "msub"
                items.append(f"<{tag}>{items.pop()}{self._argument()}</{tag}>")
            else:
                items.append(self._item(token))
        yield from items

    def _next(self) -> str:
        if self._place == len(self._tokens):
            raise self._error("it ends early")
        self._place += 1
        return self._tokens[self._place - 1]

    def _argument(self) -> str:
        token = self._next()
        return _row(list(self.items("}"))) if token == "{" else self._item(token)

    def _item(self, token: str) -> str:
        if token in COMMANDS:
            return COMMANDS[token](self)
        if token in WORDS:
            return WORDS[token]
        if token.startswith("\\"):
            raise self._error(f"{token} is unknown")
        if token == "{":
            return _row(list(self.items("}")))
        tag = "mn" if token[0].isdigit() else "mi" if token.isalpha() else "mo"
        return f"<{tag}>{MINUS if token == '-' else escape(token)}</{tag}>"

    def fraction(self) -> str:
        return f"<mfrac>{self._argument()}{self._argument()}</mfrac>"

    def root(self) -> str:
        return f"<msqrt>{self._argument()}</msqrt>"

    def named_function(self) -> str:
        name = ""
        if self._next() != "{":
            raise self._error("a function's name is missing")
        while (token := self._next()) != "}":
            name += token.removeprefix("\\")
        return f'<mi mathvariant="normal">{escape(name)}</mi>'

    def brackets(self) -> str:
        opening = self._next()
        inside = _row(list(self.items(r"\right")))
        closing = self._next()
        left, right = (
            f'<mo stretchy="true" form="{form}">{escape(bracket.removeprefix(chr(92)))}</mo>'
            for bracket, form in ((opening, "prefix"), (closing, "postfix"))
        )
        return f"<mrow>{left}{inside}{right}</mrow>"

    def _error(self, reason: str) -> ConfigurationError:
        return ConfigurationError(f"the formula {self._latex} cannot be shown: {reason}")


COMMANDS: dict[str, Callable[[_Reader], str]] = {
    r"\frac": _Reader.fraction,
    r"\sqrt": _Reader.root,
    r"\operatorname": _Reader.named_function,
    r"\left": _Reader.brackets,
}


def _row(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"<mrow>{''.join(items)}</mrow>"
