"""Exact ranks against enumeration, published tables, and a second implementation of the network with tokens."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import isprime

from seqtant.architecture.separation.closed_forms import closed_form_rank
from seqtant.architecture.separation.polynomial_attention import (
    FIELDS,
    Network,
    NetworkShape,
    PrimeField,
    rank_run,
    separation_rank,
)
from seqtant.errors import InputError

FULL_RANK = [
    # depth, width, heads, tokens, rank
    (1, 2, 1, 4, 3),
    (1, 3, 1, 6, 4),
    (1, 4, 1, 8, 5),
    (1, 4, 2, 8, 5),
    (1, 4, 4, 8, 5),
    (1, 6, 2, 8, 7),
    (2, 2, 1, 4, 18),
    (2, 2, 2, 4, 17),
    (2, 3, 1, 6, 49),
    (2, 3, 3, 6, 43),
    (2, 4, 1, 8, 110),
    (2, 4, 2, 8, 107),
    (2, 4, 4, 8, 85),
    (3, 2, 1, 4, 232),
    (2, 4, 2, 2, 70),
    (2, 3, 1, 2, 35),
    (2, 5, 1, 2, 126),
    (3, 2, 1, 2, 105),
    (3, 2, 2, 2, 105),
]
LOW_RANK = [
    # depth, width, heads, tokens, embedding rank, rank
    (1, 2, 1, 8, 1, 2),
    (1, 4, 1, 8, 1, 2),
    (2, 4, 1, 8, 1, 5),
    *[(2, width, 1, 8, 2, 18) for width in (2, 3, 4, 6, 8)],
    (2, 6, 3, 8, 2, 18),
    (2, 6, 6, 8, 2, 18),
    *[(2, width, 1, 8, 3, 49) for width in (3, 4, 6)],
    (1, 4, 1, 8, 2, 3),
    (1, 4, 1, 8, 3, 4),
    *[(2, width, 1, 2, 2, 15) for width in (4, 6)],
    *[(3, width, 1, 2, 2, 105) for width in (4, 6)],
    (2, 4, 1, 2, 3, 35),
]


@pytest.mark.parametrize(("depth", "width", "heads", "tokens", "rank"), FULL_RANK)
def test_rank_of_full_rank_inputs(depth: int, width: int, heads: int, tokens: int, rank: int) -> None:
    found = separation_rank(depth=depth, width=width, heads=heads, tokens=tokens)
    assert (found.rank, found.saturated) == (rank, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "width", "heads", "tokens", "rank"),
    [(2, 6, 1, 12, 385), (2, 6, 3, 12, 340), (3, 3, 1, 2, 560), (3, 3, 3, 2, 560), (4, 2, 1, 2, 861)],
)
def test_rank_of_larger_networks(depth: int, width: int, heads: int, tokens: int, rank: int) -> None:
    found = separation_rank(depth=depth, width=width, heads=heads, tokens=tokens)
    assert (found.rank, found.saturated) == (rank, True)


@pytest.mark.parametrize(("depth", "width", "heads", "tokens", "embed_rank", "rank"), LOW_RANK)
def test_rank_under_a_narrow_embedding(
    depth: int, width: int, heads: int, tokens: int, embed_rank: int, rank: int
) -> None:
    found = separation_rank(depth=depth, width=width, heads=heads, tokens=tokens, embed_rank=embed_rank)
    assert (found.rank, found.saturated) == (rank, True)


@pytest.mark.parametrize(("width", "tokens"), [(3, 4), (4, 4), (4, 6), (5, 4), (5, 6)])
def test_rank_between_two_and_many_tokens(width: int, tokens: int) -> None:
    found = separation_rank(depth=2, width=width, tokens=tokens)
    assert (found.rank, found.saturated) == (closed_form_rank(2, width, tokens), True)


@pytest.mark.slow
@pytest.mark.parametrize(("tokens", "rank"), [(4, 2640), (6, 3102), (8, 3102)])
def test_few_tokens_hold_the_rank_of_three_layers(tokens: int, rank: int) -> None:
    """Two vectors per half are too few for width 3 at depth 3, three are enough."""
    shape = NetworkShape(depth=3, width=3, tokens=tokens)
    assert closed_form_rank(3, 3, tokens) == rank
    assert rank_run(shape, rank + 40, field=FIELDS[0], seed=0).rank == rank


@pytest.mark.parametrize(("width", "heads", "tokens", "rank"), [(3, 1, 6, 49), (4, 2, 8, 107)])
def test_residual_connections_change_nothing(width: int, heads: int, tokens: int, rank: int) -> None:
    assert separation_rank(depth=2, width=width, heads=heads, tokens=tokens, residual=True).rank == rank


@pytest.mark.parametrize(
    ("depth", "width", "tokens", "positions", "rank"),
    [(2, 3, 8, "free", 39), (2, 6, 4, "free", 54), (2, 6, 8, "free", 108), (1, 4, 8, "free", 4), (2, 4, 8, "span", 18)],
)
def test_free_positions_lift_the_bottleneck_partly(
    depth: int, width: int, tokens: int, positions: str, rank: int
) -> None:
    found = separation_rank(depth, width, tokens=tokens, positions=positions, embed_rank=2)  # type: ignore[arg-type]
    assert found.rank == rank


@pytest.mark.parametrize(
    ("width", "inner", "heads", "rank"),
    [
        *[(2, 1, 1, 8), (2, 2, 1, 18), (2, 8, 1, 18), (2, 32, 1, 18)],
        *[(3, 1, 1, 8), (3, 2, 1, 39), (3, 3, 1, 49), (3, 9, 1, 49)],
        *[(4, 1, 1, 8), (4, 2, 1, 46), (4, 2, 2, 25), (4, 8, 1, 110)],
    ],
)
def test_inner_dimension_costs_below_the_width_and_buys_nothing_above(
    width: int, inner: int, heads: int, rank: int
) -> None:
    assert separation_rank(depth=2, width=width, inner_dim=inner, heads=heads, tokens=2 * width).rank == rank


@pytest.mark.parametrize(("projection", "rank"), [(4, 110), (3, 109), (2, 104), (1, 81)])
def test_a_narrow_place_inside_is_milder_than_one_at_the_input(projection: int, rank: int) -> None:
    assert separation_rank(depth=2, width=4, tokens=8, projection=projection).rank == rank


def test_a_projection_after_the_only_layer_leaves_its_rank() -> None:
    """One coordinate of the output has rank d + 1 whatever mixes the coordinates."""
    assert separation_rank(depth=1, width=4, tokens=8, projection=2).rank == 5


@pytest.mark.parametrize(("vocab", "tokens"), [(2, 6), (3, 4), (3, 6), (4, 4)])
def test_finite_vocabulary_reaches_the_number_of_multisets(vocab: int, tokens: int) -> None:
    half = tokens // 2
    multisets = len(list(itertools.combinations_with_replacement(range(vocab), half)))
    assert separation_rank(depth=2, width=3, vocab=vocab, tokens=tokens).rank == multisets
    words = vocab**half
    found = separation_rank(depth=2, width=3, vocab=vocab, tokens=tokens, positions="free")
    assert (found.rank, found.templates, found.saturated) == (words, words, True)


@settings(max_examples=15, deadline=None)
@given(depth=st.integers(1, 2), width=st.integers(1, 4), seed=st.integers(0, 2**31), data=st.data())
def test_two_token_rank_counts_monomials_of_every_degree(
    depth: int, width: int, seed: int, data: st.DataObject
) -> None:
    """One vector per half: binom(q + C, C), counted here by listing the monomials of degree 0 to C in q variables."""
    embed_rank = data.draw(st.integers(1, width))
    degree = sum(3**layer for layer in range(depth))
    monomials = sum(1 for k in range(degree + 1) for _ in itertools.combinations_with_replacement(range(embed_rank), k))
    assert separation_rank(depth, width, tokens=2, embed_rank=embed_rank, seed=seed).rank == monomials


def test_generic_rank_does_not_depend_on_the_seed() -> None:
    assert {separation_rank(2, 4, heads=2, tokens=8, seed=seed).rank for seed in range(4)} == {107}


def test_a_grid_that_is_too_small_is_reported_as_a_lower_bound() -> None:
    found = separation_rank(depth=2, width=4, tokens=8, max_templates=64)
    assert (found.rank, found.templates, found.saturated) == (64, 64, False)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"tokens": 7}, "tokens is 7"),
        ({"tokens": 0}, "tokens is 0"),
        ({"heads": 3}, "heads is 3"),
        ({"vocab": 0}, "vocab"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        separation_rank(2, 4, **sizes)  # type: ignore[arg-type]


def test_too_many_words_are_refused() -> None:
    with pytest.raises(InputError, match="4096 words"):
        separation_rank(2, 4, vocab=4, tokens=12)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("positions", ["none", "free"])
def test_grid_agrees_with_attention_over_tokens(residual: bool, positions: str) -> None:
    """The moment form against the definition: sums over tokens and heads, in Python integers, token by token."""
    shape = NetworkShape(
        depth=2,
        width=4,
        heads=2,
        tokens=6,
        embed_rank=2,
        residual=residual,
        positions=positions,  # type: ignore[arg-type]
    )
    field = FIELDS[0]
    network = Network.draw(shape, field, np.random.default_rng(0))
    first, second = network.halves(3, np.random.default_rng(1))
    grid = network.grid(first, second)
    for s, t in itertools.product(range(3), range(3)):
        tokens = [*first[:, :, s].T.tolist(), *second[:, :, t].T.tolist()]
        for heads in network.layers:
            tokens = [attend(tokens, query, heads, residual, field.p) for query in tokens]
        assert int(grid[s, t]) == tokens[0][0]


def test_each_half_gets_the_positions_of_its_own_tokens() -> None:
    shape = NetworkShape(depth=1, width=3, heads=1, tokens=4, vocab=2, positions="free")
    field = FIELDS[0]
    network = Network.draw(shape, field, np.random.default_rng(0))
    first, second = (half.astype(object) for half in network.halves(0, np.random.default_rng(1)))
    places = network.positions.astype(object)
    # All words over the vocabulary stand in the same order in both halves: only the positions differ.
    assert ((first - second - (places[:, :2] - places[:, 2:])[..., None]) % field.p == 0).all()
    assert (places[:, :2] != places[:, 2:]).all()


def attend(tokens: list[list[int]], query: list[int], heads: tuple, residual: bool, p: int) -> list[int]:
    out = list(query) if residual else [0] * len(query)
    for a, b in heads:
        for key in tokens:
            score = sum(key[i] * int(b[i, j, 0]) * query[j] for i in range(len(key)) for j in range(len(key)))
            for i in range(len(key)):
                out[i] += score * sum(int(a[i, j, 0]) * key[j] for j in range(len(key)))
    return [number % p for number in out]


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: str(field.p))
def test_modulus_is_prime_and_products_are_exact(field: PrimeField) -> None:
    assert isprime(field.p)
    generator = np.random.default_rng(0)
    left = field.draw(generator, 3, 9, 2)
    right = field.draw(generator, 9, 3, 2)
    left[0], right[:, 0] = field.p - 1, field.p - 1
    product = field.matmul(left, right)
    for i, j, batch in itertools.product(range(3), range(3), range(2)):
        terms = (int(left[i, k, batch]) * int(right[k, j, batch]) for k in range(9))
        assert int(product[i, j, batch]) == sum(terms) % field.p


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 8), columns=st.integers(1, 8), inner=st.integers(1, 8), seed=st.integers(0, 2**31))
def test_eliminations_agree(rows: int, columns: int, inner: int, seed: int) -> None:
    """NumPy and FLINT on sparse and dense matrices of known rank at most ``inner``."""
    pytest.importorskip("flint", reason="python-flint is the extra 'exact'")
    generator = np.random.default_rng(seed)
    for field in FIELDS:
        left = field.draw(generator, rows, inner, 1) * generator.integers(2, size=(rows, inner, 1)).astype(np.uint64)
        product = field.matmul(left, field.draw(generator, inner, columns, 1))[:, :, 0]
        matrix = np.broadcast_to(product, (rows, columns))
        rank = field.rank_by_numpy(matrix)
        assert rank == field.rank_by_flint(matrix) <= min(rows, columns, inner)


def test_elimination_agrees_with_fractions() -> None:
    """Small integers have the same rank modulo a large prime as over the rationals (every minor is below the prime)."""
    generator = np.random.default_rng(5)
    for _ in range(20):
        matrix = generator.integers(0, 3, size=(5, 5))
        matrix[4] = matrix[0] + matrix[1]
        assert FIELDS[0].rank_by_numpy(matrix.astype(np.uint64)) == rational_rank(matrix.tolist())


def rational_rank(matrix: list[list[int]]) -> int:
    rows, rank = [[Fraction(number) for number in row] for row in matrix], 0
    for column in range(len(rows[0])):
        pivot = next((row for row in rows[rank:] if row[column]), None)
        if pivot is None:
            continue
        rows.remove(pivot)
        rows.insert(rank, pivot)
        for row in rows[rank + 1 :]:
            factor = row[column] / pivot[column]
            row[:] = [number - factor * above for number, above in zip(row, pivot, strict=True)]
        rank += 1
    return rank


def test_float_singular_values_would_be_wrong() -> None:
    """Why the arithmetic is modular: at rank 232 a float64 grid loses most of it at NumPy's own tolerance."""
    shape = NetworkShape(depth=3, width=2, tokens=4)
    generator = np.random.default_rng(0)
    weights = [[(generator.normal(size=(2, 2)), generator.normal(size=(2, 2)))] for _ in range(3)]
    first, second = generator.normal(size=(2, 2, 2, 256))
    grid = np.empty((256, 256))
    for s, t in itertools.product(range(256), range(256)):
        inputs = np.concatenate([first[:, :, s], second[:, :, t]], axis=1)
        moments, state = inputs @ inputs.T, np.eye(2)
        for ((a, b),) in weights:
            state = a @ (state @ moments @ state.T) @ b @ state
        grid[s, t] = (state @ inputs[:, 0])[0]
    assert np.linalg.matrix_rank(grid) < 200
    exact = rank_run(shape, 256, field=FIELDS[1], seed=0)
    assert exact.rank == 232
    assert math.isfinite(grid.max())
