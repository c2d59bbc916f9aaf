"""Young diagrams: the bookkeeping that counts polynomials in the second moments of a few vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator

Diagram = tuple[int, ...]
"""Row lengths, not increasing."""


def partitions(total: int, parts: int, largest: int | None = None) -> Iterator[Diagram]:
    """Partitions of a number into at most so many parts, none above ``largest``.

    Example:
        >>> list(partitions(4, 2))
        [(4,), (3, 1), (2, 2)]
    """
    if total == 0:
        yield ()
    elif parts > 0:
        for first in range(min(total, largest or total), 0, -1):
            for rest in partitions(total - first, parts - 1, first):
                yield (first, *rest)


def doubled(shape: Diagram, rows: int) -> Diagram:
    """The diagram with every row twice as long, filled up with empty rows.

    Example:
        >>> doubled((2, 1), 3)
        (4, 2, 0)
    """
    return tuple(2 * part for part in shape) + (0,) * (rows - len(shape))


def with_a_box(shape: Diagram, rows: int) -> Iterator[Diagram]:
    """Diagrams with one box more in one of the first ``rows`` rows (Pieri's rule).

    Example:
        >>> list(with_a_box((2, 2, 0), 3))
        [(3, 2, 0), (2, 2, 1)]
    """
    for row in range(rows):
        if row == 0 or shape[row] < shape[row - 1]:
            yield (*shape[:row], shape[row] + 1, *shape[row + 1 :])


def dimension(shape: Diagram) -> int:
    """Dimension of the representation of GL_q with these q row lengths (Weyl's formula).

    Example:
        >>> dimension((1, 0, 0)), dimension((2, 0, 0)), dimension((1, 1, 1))
        (3, 6, 1)
    """
    pairs = [(i, j) for i in range(len(shape)) for j in range(i + 1, len(shape))]
    return math.prod(shape[i] - shape[j] + j - i for i, j in pairs) // math.prod(j - i for i, j in pairs)
