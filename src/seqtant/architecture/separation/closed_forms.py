"""Closed forms of the separation rank of self-attention: both theorems, the bound behind them, the exact values.

Papers: 8 = Levine et al. 2020, "The Depth-to-Width Interplay in Self-Attention" (arXiv 2006.12467);
7 = Wies et al. 2021, "Which Transformer architecture fits my data?" (arXiv 2105.03928). Source marks: [derived] derived
here, [memory] recalled and not verified at the source. Bounds are logarithms to base 3 and reach any depth whose 3^L is
a finite float64.

Legend:
    L    depth, attention layers
    d    width of the residual stream (the papers' d_x), numbers
    H    attention heads
    q    effective width min(r, d), r the rank of the input embedding
    C    (3^L - 1) / 2, degree of the network in the second moments S = X X^T of its inputs
    n    number of variables of a polynomial; ((n, k)) = binom(n + k - 1, k) counts its monomials of degree k
"""

# SciPy ships no types.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Iterator

from scipy.special import betaln

LN3 = math.log(3.0)
MAX_WIDTH = 10**12
"""Widths above this are reported as out of reach."""
EXACT_DIGITS = 2000
"""Ranks of up to so many base-3 digits are compared as whole numbers, larger ones by their logarithms."""
Diagram = tuple[int, ...]
"""A Young diagram: row lengths, not increasing."""


def degree(depth: int) -> int:
    """C = (3^L - 1) / 2: degree of a depth-L network in the second moments of its inputs [derived].

    Example:
        >>> [degree(depth) for depth in (1, 2, 3)]
        [1, 4, 13]
    """
    return (3**depth - 1) // 2


def transition_depth(width: float) -> float:
    """log_3 d: below it depth is efficient (Theorem 1 of paper 8), above it depth and width count alike (Theorem 2)."""
    return math.log(width) / LN3


def log3_multichoose(variables: float, count: float) -> float:
    """log_3 of ((n, k)) = binom(n + k - 1, k) for real n, k >= 0, accurate when one is far larger than the other.

    A difference of log-gamma values loses all digits once k passes 1e15; the logarithm of the beta function does not.

    Example:
        >>> round(3 ** log3_multichoose(10, 3))
        220
    """
    if variables <= 0.0:
        return -math.inf
    # binom(n + k - 1, k) = 1 / ((n + k) B(n, k + 1))
    return -(math.log(variables + count) + float(betaln(variables, count + 1.0))) / LN3


def theorem1_lower(depth: int, width: int, heads: int) -> float:
    """3^(L-2) (log_3(d - H) + a), a = -L + 2 - log_3 2: Theorem 1 of paper 8, lower side, L < log_3 d [memory].

    Negative values and d <= H say nothing.
    """
    if width <= heads:
        return -math.inf
    return 3.0 ** (depth - 2) * (math.log(width - heads) / LN3 - depth + 2 - math.log(2.0) / LN3)


def theorem1_upper(depth: int, width: int, heads: int) -> float:
    """C log_3(d + H): Theorem 1 of paper 8, upper side [memory]; proved for every L [derived].

    Proof: unrolled, the output is a sum over H^C head choices of a chain of C + 1 matrices of width d/H. With
    S = S_A + S_B each neighboring pair of the chain costs a factor d/H where the side changes and 1 where it does
    not, so a head choice has separation rank at most (1 + d/H)^C, and all together (H + d)^C.
    """
    return float(degree(depth)) * math.log(width + heads) / LN3


def theorem2_lower(depth: int, width: int, heads: int) -> float:
    """Half d L + b1 + b2: Theorem 2 of paper 8, lower side, L > log_3 d [memory].

    b1 = -L (H/2 + 1), b2 = -d (1 + log_3((d - H) / 2) / 2). Negative values and d <= H say nothing.
    """
    if width <= heads:
        return -math.inf
    b1 = -depth * (heads / 2.0 + 1.0)
    b2 = -width * (1.0 + 0.5 * math.log((width - heads) / 2.0) / LN3)
    return 0.5 * width * depth + b1 + b2


def theorem2_upper(depth: int, width: int) -> float:
    """2 d L + c1 + c2: Theorem 2 of paper 8, upper side, L > log_3 d [memory].

    c1 = L, c2 = -2 d log_3(d / (2 sqrt(2) e)) + log_3 d. Holds for one vector per half (checked against the exact
    value); with many vectors per half :func:`many_token_rank` can exceed it, so it is shown and not relied on.
    """
    c2 = -2.0 * width * math.log(width / (2.0 * math.sqrt(2.0) * math.e)) / LN3 + math.log(width) / LN3
    return 2.0 * width * depth + depth + c2


def multiset_lower(depth: int, width: int, heads: int) -> float:
    """log_3 ((n, k)) with n = (d - H) / 2, k = 3^(L-2): the one bound behind both lower sides [derived], L >= 2.

    ((n, k)) >= (n/k)^k gives Theorem 1's lower side and ((n, k)) >= (k/n)^(n-1) gives Theorem 2's.
    """
    if depth < 2:
        return -math.inf
    return log3_multichoose((width - heads) / 2.0, 3.0 ** (depth - 2))


def two_token_rank(depth: int, effective_width: int) -> int:
    """binom(q + C, C): separation rank of generic weights with one vector per half.

    The right side is a proved upper bound; equality is measured in every small case tried [derived + measured].

    Example:
        >>> [two_token_rank(2, 4), two_token_rank(4, 2)]
        [70, 861]
    """
    return math.comb(effective_width + degree(depth), effective_width)


def log3_two_token_rank(depth: int, effective_width: int) -> float:
    """log_3 of :func:`two_token_rank`, for any depth."""
    return log3_multichoose(effective_width + 1.0, float(degree(depth)))


def _balance(depth: int, width: int) -> int:
    """Largest k with ((n, k)) <= q ((n, C-k)), n = q(q+1)/2: up to it the B half decides; -1 if there is none."""
    total, moments, log_width = degree(depth), width * (width + 1) / 2.0, math.log(width) / LN3
    low, high = -1, total
    # The left side grows with k and the right side falls, so halving finds where they cross.
    while low < high:
        middle = (low + high + 1) // 2
        side_b = log3_multichoose(moments, float(middle))
        side_a = log_width + log3_multichoose(moments, float(total - middle))
        low, high = (middle, high) if side_b <= side_a else (low, middle - 1)
    return low


def many_token_rank(depth: int, effective_width: int) -> int:
    """sum_{k=0..C} min(((n, k)), q ((n, C-k))), n = q(q+1)/2: at least q vectors per half, one head, generic weights.

    The right side is a proved upper bound for any number of heads; equality is measured for one head in every small
    case tried [derived + measured]. Sums of multiset coefficients telescope, so two binomials remain.

    Example:
        >>> [many_token_rank(2, width) for width in (2, 3, 4, 6)], many_token_rank(3, 2)
        ([18, 49, 110, 385], 232)
    """
    q, total = effective_width, degree(depth)
    n, k = q * (q + 1) // 2, _balance(depth, q)
    # sum_{j<=k} ((n, j)) = binom(n + k, n), for the B half up to k and the A half beyond it.
    # The A half runs over j = C - k - 1, ..., 0, the degrees that are left to it: sum_{j<=C-k-1} ((n, j)).
    low = math.comb(n + k, n) if k >= 0 else 0
    high = q * math.comb(n + total - k - 1, n) if k < total else 0
    return low + high


def log3_many_token_rank(depth: int, effective_width: int) -> float:
    """log_3 of :func:`many_token_rank`, for any depth and width."""
    q, total = effective_width, degree(depth)
    n, k = q * (q + 1) / 2.0, _balance(depth, q)
    # binom(n + k, n) = ((n + 1, k)), the form that has a logarithm for any depth.
    low = log3_multichoose(n + 1.0, float(k)) if k >= 0 else -math.inf
    high = math.log(q) / LN3 + log3_multichoose(n + 1.0, float(total - k - 1)) if k < total else -math.inf
    # log_3 of a sum of two powers, the larger taken out so that neither overflows.
    top = max(low, high)
    return top + math.log(sum(3.0 ** (term - top) for term in (low, high))) / LN3


def closed_form_rank(depth: int, effective_width: int, tokens: int) -> int:
    """Separation rank of generic weights for any even number of tokens: both forms above and what lies between them.

    With m = tokens / 2 vectors in the B half, a polynomial of degree k in the entries of S_B = sum b b^T sees only the
    representations S_{2 lambda} of GL_q with lambda a partition of k into at most m parts; the A half, degree C-k in
    S_A times one of its own vectors, sees the S_mu with mu = 2 lambda plus one box and at most m rows. The rank is at
    most the sum over k of the smaller of the two dimensions [derived]; equality is measured in every case tried with
    one head. m >= q gives :func:`many_token_rank`, m = 1 gives :func:`two_token_rank`. Beyond depth 3 and between
    those two, :func:`many_token_rank` is returned, which is a bound but not tight.

    Example:
        >>> closed_form_rank(2, 3, 2), closed_form_rank(2, 3, 4), closed_form_rank(3, 3, 4), closed_form_rank(3, 3, 6)
        (35, 49, 2640, 3102)
    """
    q, m, total = effective_width, tokens // 2, degree(depth)
    if m == 1:
        return two_token_rank(depth, q)
    if m >= q or depth > 3:
        return many_token_rank(depth, q)
    side_b, side_a = [0] * (total + 1), [0] * (total + 1)
    for k in range(total + 1):
        for shape in partitions(k, m):
            even = tuple(2 * part for part in shape) + (0,) * (q - len(shape))  # 2 lambda, as q rows
            side_b[k] += dimension(even)
            side_a[k] += sum(dimension(grown) for grown in with_a_box(even, m))
    # Degree k on one side meets degree C-k on the other.
    return sum(min(b, a) for b, a in zip(side_b, reversed(side_a), strict=True))


def partitions(total: int, parts: int, largest: int | None = None) -> Iterator[Diagram]:
    """Yields the partitions of a number into at most so many parts, none above ``largest``.

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


def with_a_box(shape: Diagram, rows: int) -> Iterator[Diagram]:
    """Yields the diagrams with one box more in one of the first ``rows`` rows (Pieri's rule).

    Example:
        >>> list(with_a_box((2, 2, 0), 3))
        [(3, 2, 0), (2, 2, 1)]
    """
    for row in range(rows):
        if row == 0 or shape[row] < shape[row - 1]:
            # Rows must not increase: a box fits only where the row above is longer.
            yield (*shape[:row], shape[row] + 1, *shape[row + 1 :])


def dimension(shape: Diagram) -> int:
    """Computes the dimension of the representation of GL_q with these q row lengths (Weyl's formula).

    Example:
        >>> dimension((1, 0, 0)), dimension((2, 0, 0)), dimension((1, 1, 1))
        (3, 6, 1)
    """
    # prod_{i<j} (l_i - l_j + j - i) / (j - i), an exact whole number
    pairs = [(i, j) for i in range(len(shape)) for j in range(i + 1, len(shape))]
    return math.prod(shape[i] - shape[j] + j - i for i, j in pairs) // math.prod(j - i for i, j in pairs)


def matching_width(depth: int, width: int, to_depth: int) -> int | None:
    """Finds the smallest width at which ``to_depth`` layers have the separation rank of ``depth`` layers of ``width``.

    Uses the closed form for as many tokens per half as the width, one head. None above :data:`MAX_WIDTH`.

    Example:
        >>> [matching_width(2, 8, 1), matching_width(3, 8, 2), matching_width(4, 8, 3)]
        [998, 131, 35]
    """
    target = log3_many_token_rank(depth, width)

    def suffices(candidate: int) -> bool:
        guess = log3_many_token_rank(to_depth, candidate)
        # Logarithms round; where they come close, whole numbers decide while they are short enough.
        if target < EXACT_DIGITS and abs(guess - target) < 1.0:
            return many_token_rank(to_depth, candidate) >= many_token_rank(depth, width)
        return guess >= target

    if not suffices(MAX_WIDTH):
        return None
    low, high = 0, 1
    while not suffices(high):
        low, high = high, min(2 * high, MAX_WIDTH)
    # ``high`` suffices and ``low`` does not, to the end.
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high
