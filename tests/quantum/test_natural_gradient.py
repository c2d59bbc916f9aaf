"""The kernel of natural-gradient steps and its solution, against dense algebra."""

import pytest
import torch

from seqtant.quantum.training.natural_gradient import (
    add_gram,
    center,
    center_kernel,
    center_transposed,
    factorize,
    solve,
)


def drawn(*size):
    return torch.randn(*size, generator=torch.Generator().manual_seed(sum(size)), dtype=torch.float64)


def positive(size):
    rows = drawn(size, size + 5)
    return rows @ rows.T


@pytest.mark.parametrize("samples", [1, 7, 129, 300])
def test_products_of_rows_are_added_to_the_whole_kernel(samples):
    kernel, rows = positive(samples), drawn(samples, 11)
    expected = kernel + rows @ rows.T
    add_gram(kernel, rows)
    # Off the diagonal blocks the lower half is computed and copied up: both halves must be right.
    assert torch.allclose(kernel, expected, atol=1e-10)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_centered_kernel_is_that_of_centered_rows(parts):
    samples, rows = 13, drawn(parts * 13, 29) + 3.0
    weights = torch.rand(samples, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    weights /= weights.sum()
    blocks = rows.view(parts, samples, -1)
    means = (weights[:, None] * blocks).sum(1, keepdim=True)
    centered = ((blocks - means) * weights.sqrt()[:, None]).flatten(0, 1)
    kernel = rows @ rows.T
    center_kernel(kernel, weights)
    assert torch.allclose(kernel, centered @ centered.T, atol=1e-11)
    column, direction = drawn(parts * samples), drawn(29)
    assert torch.allclose(rows.T @ center_transposed(column.view(parts, -1), weights), centered.T @ column, atol=1e-11)
    assert torch.allclose(center((rows @ direction).view(parts, -1), weights), centered @ direction, atol=1e-11)


@pytest.mark.parametrize("size", [1, 5, 128, 300])
def test_the_factor_is_that_of_the_library(size):
    matrix = positive(size)
    expected = torch.linalg.cholesky(matrix)
    assert factorize(matrix)
    assert torch.allclose(matrix.tril(), expected, atol=1e-9)


@pytest.mark.parametrize("place", [0, 150, 299])
def test_an_indefinite_matrix_is_told_wherever_it_fails(place):
    matrix = positive(300)
    matrix[place, place] = -1.0
    assert not factorize(matrix)


def test_solutions_equal_dense_ones_and_leave_the_kernel_alone():
    kernel, force = positive(200), drawn(200)
    before = kernel.clone()
    expected = torch.linalg.solve(kernel + 1e-2 * torch.eye(200, dtype=torch.float64), force)
    assert torch.allclose(solve(kernel, force, 1e-2), expected, rtol=1e-8)
    assert torch.equal(kernel, before)
