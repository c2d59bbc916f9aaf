"""Equations inside the text of a step, worked out again: ``3 + 5 = 8`` and calculator marks ``<<3+5=8>>``."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction

_EQUATION = re.compile(
    r"(?P<left>[-+*/() .\d]*\d[-+*/() .\d]*[-+*/][-+*/() .\d]*\d[\s)]*)=\s*(?P<right>-?\d+(?:\.\d+)?)"
)
_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def wrong_equations(text: str) -> list[str]:
    """The equations in a text whose sides differ, worked out exactly; what cannot be read is passed over.

    Example:
        >>> wrong_equations("so 3 + 4 = 8, then <<8*2=16>>16")
        ['3 + 4 = 8']
    """
    found = []
    for match in _EQUATION.finditer(text.replace(",", "") if re.search(r"\d,\d{3}", text) else text):
        left = _value(match["left"])
        if left is not None and abs(left - Fraction(match["right"])) >= _rounding(match["right"]):
            found.append(match[0].strip())
    return found


def _rounding(written: str) -> Fraction:
    """Half a unit of the last decimal, since people round; whole numbers must be exact."""
    decimals = len(written.partition(".")[2])
    return Fraction(1, 2 * 10**decimals) + Fraction(1, 10**12) if decimals else Fraction(1, 10**9)


def _value(text: str) -> Fraction | None:
    try:
        return _of(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
        return None


def _of(node: ast.expr) -> Fraction:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_of(node.left), _of(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_of(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(str(node.value))
    raise ValueError("not arithmetic")
