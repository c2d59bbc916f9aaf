"""Log-space products against exact arithmetic on integers of any size."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtant.lm.oracles import log_matmul


def log_of(number: Fraction) -> float:
    """Natural logarithm of a fraction far outside the range of floats."""
    if number == 0:
        return -np.inf
    shift = number.numerator.bit_length() - number.denominator.bit_length()
    return float(np.log(float(number / Fraction(2) ** shift)) + shift * np.log(2.0))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(-6000, 6000) | st.none(), min_size=1, max_size=4), st.integers(0, 2**31 - 1), st.integers(1, 4)
)
def test_equals_exact_arithmetic_over_any_range(powers: list[int | None], seed: int, columns: int) -> None:
    """Weights are powers of two, or zero; entries of the matrix are small integers, some of them zero."""
    matrix = np.random.default_rng(seed).integers(0, 4, size=(len(powers), columns))
    weights = [Fraction(0) if power is None else Fraction(2) ** power for power in powers]
    expected = [
        log_of(sum((w * int(m) for w, m in zip(weights, column, strict=True)), Fraction(0))) for column in matrix.T
    ]
    logs = torch.tensor([-np.inf if power is None else power * np.log(2.0) for power in powers], dtype=torch.float64)
    found = log_matmul(logs, torch.tensor(matrix, dtype=torch.float64))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-10)


def test_rows_of_a_batch_do_not_mix() -> None:
    weights = torch.tensor([[0.0, -3000.0], [-1.0, -1.0]], dtype=torch.float64)
    found = log_matmul(weights, torch.eye(2, dtype=torch.float64))
    assert found.flatten().tolist() == pytest.approx([0.0, -3000.0, -1.0, -1.0])
