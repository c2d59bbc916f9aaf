"""Sums modulo a number, running total by running total, and addition of long numbers with its carries."""

from __future__ import annotations

from seqtant.errors import InputError
from seqtant.subtasks.tasks.gates import gate_table
from seqtant.subtasks.tasks.task import Step, Task


def modular_sum(terms: int, modulus: int) -> Task:
    """The sum of some numbers modulo another, one running total after the other.

    Raises:
        InputError: There are fewer than two terms, or the modulus is below two.

    Example:
        >>> import numpy as np
        >>> modular_sum(3, 10).labels(np.array([[7, 5, 9]])).tolist()
        [[2, 1]]
    """
    if terms < 2 or modulus < 2:
        raise InputError(f"a sum of {terms} terms modulo {modulus} is none: give at least 2 terms and modulus 2")
    table = gate_table("sum", 2, modulus)
    reads = [(0, 1), *((terms + step, step + 2) for step in range(terms - 2))]
    return Task(
        name=f"sum of {terms} numbers modulo {modulus}",
        inputs=terms,
        alphabet=modulus,
        steps=tuple(Step(pair, table) for pair in reads),
        facts={"modulus": modulus},
    )


def addition(digits: int) -> Task:
    """Two decimal numbers of so many digits: for each place its digit and its carry, the lowest place first.

    The input holds the first number and then the second, each lowest digit first; the answer without steps is written
    as people write it, highest digit first.

    Raises:
        InputError: There is no digit.

    Example:
        >>> import numpy as np
        >>> addition(2).labels(np.array([[7, 9, 5, 2]])).tolist()  # 97 + 25 = 122
        [[2, 1, 2, 1]]
    """
    if digits < 1:
        raise InputError(f"digits is {digits}: give at least 1")
    inputs = 2 * digits
    steps: list[Step] = []
    for place in range(digits):
        carry = () if place == 0 else (inputs + 2 * place - 1,)
        reads = (place, digits + place, *carry)
        totals = [sum(row) for row in _rows(len(reads))]
        steps.append(Step(reads, tuple(total % 10 for total in totals)))
        steps.append(Step(reads, tuple(total // 10 for total in totals)))
    answer = (2 * digits - 1, *(2 * place for place in reversed(range(digits))))
    return Task(name=f"addition of {digits} digits", inputs=inputs, alphabet=10, steps=tuple(steps), answer=answer)


def _rows(arity: int) -> list[tuple[int, ...]]:
    if arity == 0:
        return [()]
    return [(*row, digit) for row in _rows(arity - 1) for digit in range(10)]
