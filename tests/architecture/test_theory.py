"""The closed forms against exact integers, enumeration, Monte Carlo, and the published table."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from seqtant.architecture import theory
from seqtant.architecture.separation import closed_forms
from seqtant.architecture.separation.closed_forms import dimension, partitions, with_a_box
from seqtant.errors import InputError

GPT3_TABLE = [
    # trained depth and width, optimal depth by the law, printed optimal depth and width
    (12, 768, 23.04, 23, 555),
    (24, 1024, 31.62, 32, 886),
    (24, 1536, 37.41, 38, 1220),
    (24, 2048, 41.63, 42, 1550),
    (32, 2560, 47.12, 47, 2110),
    (32, 4096, 54.31, 54, 3150),
    (40, 5140, 59.58, 60, 4200),
    (96, 12288, 80.46, 80, 13500),
]
SMALL_SHAPES = [(depth, width) for depth in (1, 2, 3, 4) for width in (1, 2, 3, 4, 5)]


def log3(number: int) -> float:
    """Logarithm of a whole number of any length."""
    return math.log(number) / math.log(3)


@pytest.mark.parametrize(("depth", "width", "optimal", "printed_depth", "printed_width"), GPT3_TABLE)
def test_gpt3_table(depth: int, width: int, optimal: float, printed_depth: int, printed_width: int) -> None:
    best = theory.optimal_depth(12 * depth * width**2)
    assert best.depth == pytest.approx(optimal, abs=0.01)
    assert best.depth == pytest.approx(printed_depth, abs=0.65)  # 760M: 37.4 is printed as 38
    width_at_printed_depth = math.sqrt(depth * width**2 / printed_depth)
    assert width_at_printed_depth == pytest.approx(printed_width, rel=0.01)


@pytest.mark.parametrize(
    ("depth", "width", "size"),
    [
        (6, 215, 3.34e6),
        (12, 300, 1.30e7),
        (24, 585, 9.84e7),
        (48, 2215, 2.83e9),
        (80, 13082, 1.64e11),
        (95, 30077, 1.03e12),
    ],
)
def test_transition_curve(depth: int, width: int, size: float) -> None:
    assert theory.FITTED.transition_width(depth) == pytest.approx(width, abs=0.5)
    assert theory.FITTED.transition_size(depth) == pytest.approx(size, rel=4e-3)


@given(size=st.floats(1e3, 1e15))
def test_optimal_depth_inverts_the_transition_size(size: float) -> None:
    best = theory.optimal_depth(size)
    root = brentq(lambda depth: 12 * depth * math.exp(2 * (5.039 + 0.0555 * depth)) - size, 1e-9, 1e3, xtol=1e-12)
    assert best.depth == pytest.approx(root, rel=1e-8, abs=1e-9)
    assert 12 * best.depth * best.width**2 == pytest.approx(size, rel=1e-9)


@given(size=st.floats(1e5, 1e13), ratio=st.floats(1.0, 8.0), shared=st.integers(1, 4096))
def test_family_solves_its_own_equation(size: float, ratio: float, shared: int) -> None:
    def layer(width: float) -> float:
        return 2 * width**2 + 2 * width * min(width, shared) + 3 * ratio * width**2

    best = theory.optimal_depth_of_family(size, layer)
    assert layer(best.width) * best.depth == pytest.approx(size, rel=1e-8)
    assert best.width == pytest.approx(math.exp(5.039 + 0.0555 * best.depth), rel=1e-9)
    assert layer(theory.width_of_family(size, layer)) == pytest.approx(size, rel=1e-8)
    depth = theory.depth_of_aspect_ratio(size, 50.0, layer)
    assert layer(50.0 * depth) * depth == pytest.approx(size, rel=1e-8)


@pytest.mark.parametrize("size", [1e7, 1e9, 1e11])
def test_family_of_standard_layers_is_the_closed_form(size: float) -> None:
    expected, found = theory.optimal_depth(size), theory.optimal_depth_of_family(size, lambda width: 12 * width**2)
    assert found.depth == pytest.approx(expected.depth, rel=1e-9)
    assert found.error == pytest.approx(expected.error, rel=1e-6)


@pytest.mark.parametrize(
    ("depth", "relative", "error"),
    [(12, 0.034, 0.17), (24, 0.022, 0.15), (48, 0.071, 0.54), (80, 0.153, 1.24), (95, 0.192, 1.58)],
)
def test_error_of_size_and_depth(depth: int, relative: float, error: float) -> None:
    size = theory.FITTED.transition_size(depth)
    assert 2 * theory.FITTED.log_width_error(depth) == pytest.approx(relative, abs=6e-4)
    assert theory.optimal_depth(size).error == pytest.approx(error, abs=0.01)


def test_depth_error_agrees_with_drawing_the_coefficients() -> None:
    law, size = theory.FITTED, 1.74e11
    covariance = [[law.var_a, law.cov_ab], [law.cov_ab, law.var_b]]
    draws = np.random.default_rng(0).multivariate_normal([law.a, law.b], covariance, size=4000)
    depths = [theory.optimal_depth(size, theory.DepthLaw(a, b)).depth for a, b in draws]
    assert np.std(depths) == pytest.approx(theory.optimal_depth(size).error, rel=0.05)


@pytest.mark.parametrize("size", [0.0, -1.0, math.nan, math.inf])
def test_sizes_that_are_no_sizes_are_refused(size: float) -> None:
    with pytest.raises(InputError, match="finite number above 0"):
        theory.optimal_depth(size)


def test_rank_limit_of_a_byte_model() -> None:
    """8.5e7 parameters: width 257 would take 107 layers and rank 33 would take 6504; both are cut at 3 x 23.04."""
    size = 8.5e7
    best = theory.optimal_depth(size)
    assert [round(size / (12 * rank**2)) for rank in (257, 33)] == [107, 6504]
    for rank in (257, 33):
        deepest, reason = theory.rank_limited_depth(size, rank, best, lambda width: 12 * width**2)
        assert (deepest, reason) == (3 * best.depth, "three times the law")
    assert theory.rank_limited_depth(size, best.width, best, lambda width: 12 * width**2)[0] == best.depth
    deepest, reason = theory.rank_limited_depth(size, 400, best, lambda width: 12 * width**2)
    assert 12 * deepest * 400**2 == pytest.approx(size)
    assert reason == "width held at the rank"


@pytest.mark.parametrize("variables", [1, 2, 7, 378])
@pytest.mark.parametrize("depth", [2, 3, 5, 9, 20, 34, 40, 80, 200])
def test_multichoose_is_accurate_where_log_gamma_is_not(variables: int, depth: int) -> None:
    count = 3 ** (depth - 2)
    exact = log3(math.comb(variables + count - 1, variables - 1))
    assert closed_forms.log3_multichoose(variables, float(count)) == pytest.approx(exact, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("depth", "width"), [(2, 12288), (6, 2048), (12, 64), (200, 4), (60, 768)])
def test_two_token_logarithm(depth: int, width: int) -> None:
    exact = log3(math.comb(width + (3**depth - 1) // 2, width))
    assert closed_forms.log3_two_token_rank(depth, width) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(
    ("width", "values"),
    [(33, (44, 101, 166, 298, 694)), (257, (104, 380, 835, 1854, 4938)), (768, (142, 644, 1786, 4783, 14000))],
)
def test_two_token_table(width: int, values: tuple[int, ...]) -> None:
    found = [closed_forms.log3_two_token_rank(depth, width) for depth in (4, 6, 8, 12, 24)]
    assert found == pytest.approx(values, abs=2.5)


@pytest.mark.parametrize(("depth", "width"), SMALL_SHAPES)
def test_many_token_form_is_the_sum_of_minima(depth: int, width: int) -> None:
    degree, moments = sum(3**layer for layer in range(depth)), width * (width + 1) // 2
    total = sum(
        min(math.comb(moments + k - 1, k), width * math.comb(moments + degree - k - 1, degree - k))
        for k in range(degree + 1)
    )
    assert closed_forms.many_token_rank(depth, width) == total
    assert closed_forms.log3_many_token_rank(depth, width) == pytest.approx(log3(total), rel=1e-9)


@pytest.mark.parametrize(("depth", "width"), [(6, 32), (8, 8), (3, 768)])
def test_many_token_logarithm_of_large_ranks(depth: int, width: int) -> None:
    assert closed_forms.log3_many_token_rank(depth, width) == pytest.approx(
        log3(closed_forms.many_token_rank(depth, width)), rel=1e-9
    )


def test_logarithms_stay_finite_and_grow_up_to_200_layers() -> None:
    for form in (closed_forms.log3_two_token_rank, closed_forms.log3_many_token_rank):
        values = [form(depth, 768) for depth in range(1, 201)]
        assert all(math.isfinite(value) for value in values)
        assert all(later > earlier for earlier, later in itertools.pairwise(values))


SHAPES = [
    (depth, width, heads)
    for width in (2, 4, 16, 64, 100, 768, 4096, 12288)
    for heads in (1, 2, 4, 12, 96)
    for depth in (1, 2, 3, 4, 5, 6, 8, 12, 20, 39)
    if width % heads == 0 and heads < width
]


def test_exact_value_lies_between_both_theorems() -> None:
    assert len(SHAPES) > 200
    for depth, width, heads in SHAPES:
        exact = closed_forms.log3_two_token_rank(depth, width) * (1 + 1e-9)
        assert closed_forms.multiset_lower(depth, width, heads) <= exact
        if depth < closed_forms.transition_depth(width):
            assert closed_forms.theorem1_lower(depth, width, heads) <= exact
        else:
            assert (
                closed_forms.theorem2_lower(depth, width, heads) <= exact <= closed_forms.theorem2_upper(depth, width)
            )
        assert exact <= closed_forms.theorem1_upper(depth, width, heads) * (1 + 1e-8)


@pytest.mark.parametrize(("depth", "width", "heads"), [shape for shape in SHAPES if shape[0] >= 2][::7])
def test_both_lower_sides_follow_from_the_multiset_count(depth: int, width: int, heads: int) -> None:
    variables, count = (width - heads) / 2, 3.0 ** (depth - 2)
    power = count * (math.log(variables) - math.log(count)) / math.log(3)
    assert closed_forms.theorem1_lower(depth, width, heads) == pytest.approx(power, rel=1e-9, abs=1e-9)
    if variables >= 1:
        assert closed_forms.multiset_lower(depth, width, heads) >= power - 1e-9 * abs(power)
        assert (
            closed_forms.multiset_lower(depth, width, heads) >= closed_forms.theorem2_lower(depth, width, heads) - 1e-6
        )


@pytest.mark.parametrize(("depth", "width"), [(7, 768), (24, 64), (12, 12288)])
def test_upper_side_of_theorem_2_factors_into_three_counts(depth: int, width: int) -> None:
    splits = depth + math.log(width) / math.log(3)
    first = width * (math.log(4 * math.e / width) / math.log(3) + depth)
    second = width * (math.log(2 * math.e / width) / math.log(3) + depth)
    assert closed_forms.theorem2_upper(depth, width) == pytest.approx(splits + first + second)


def test_upper_side_of_theorem_1_is_tight_for_one_layer_and_one_head() -> None:
    for width in (2, 3, 4, 6):
        assert 3 ** closed_forms.theorem1_upper(1, width, 1) == pytest.approx(width + 1)
        assert closed_forms.many_token_rank(1, width) == width + 1


def test_multiset_examples() -> None:
    assert closed_forms.multiset_lower(4, 768, 12) == pytest.approx(37.05, abs=0.01)
    assert closed_forms.theorem1_lower(4, 768, 12) == pytest.approx(30.6, abs=0.05)
    assert closed_forms.multiset_lower(8, 768, 12) == pytest.approx(642.6, abs=0.1)
    assert closed_forms.theorem2_lower(8, 768, 12) == pytest.approx(173.6, abs=0.1)


def tableaux(shape: tuple[int, ...], letters: int) -> int:
    """Semistandard tableaux of a shape by enumeration: rows weakly, columns strictly increasing."""
    cells = [(row, column) for row, length in enumerate(shape) for column in range(length)]
    count = 0
    for filling in itertools.product(range(letters), repeat=len(cells)):
        at = dict(zip(cells, filling, strict=True))
        count += all(
            at.get((row, column - 1), -1) <= letter and at.get((row - 1, column), -1) < letter
            for (row, column), letter in at.items()
        )
    return count


@pytest.mark.parametrize("shape", [(2, 0, 0), (1, 1, 0), (2, 1, 0), (1, 1, 1), (3, 1, 0), (2, 2, 1), (4, 0, 0)])
def test_dimension_counts_semistandard_tableaux(shape: tuple[int, ...]) -> None:
    assert dimension(shape) == tableaux(shape, len(shape))


@pytest.mark.parametrize(("rows", "degree"), list(itertools.product((1, 2, 3, 4), (0, 1, 2, 3, 5))))
def test_doubled_diagrams_fill_the_polynomials_in_a_symmetric_matrix(rows: int, degree: int) -> None:
    """Sym^k(Sym^2 V) is the sum of S_{2 lambda}; times V, by Pieri, it is the sum with one box more."""
    monomials = math.comb(rows * (rows + 1) // 2 + degree - 1, degree)
    shapes = [tuple(2 * part for part in shape) + (0,) * (rows - len(shape)) for shape in partitions(degree, rows)]
    assert sum(dimension(shape) for shape in shapes) == monomials
    grown = [dimension(each) for shape in shapes for each in with_a_box(shape, rows)]
    assert sum(grown) == rows * monomials


@pytest.mark.parametrize(("depth", "width"), [(1, 3), (2, 2), (2, 4), (3, 2), (3, 3)])
def test_form_for_any_number_of_tokens_joins_the_two_others(depth: int, width: int) -> None:
    forms = [closed_forms.closed_form_rank(depth, width, tokens) for tokens in range(2, 2 * width + 4, 2)]
    assert forms == sorted(forms)
    assert forms[0] == closed_forms.two_token_rank(depth, width)
    assert forms[-1] == closed_forms.many_token_rank(depth, width)
