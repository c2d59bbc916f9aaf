"""Sums of exponentials that neither overflow nor lose what is small."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def log_matmul(
    log_weights: Float[Tensor, "*batch states"], matrix: Float[Tensor, "states columns"]
) -> Float[Tensor, "*batch columns"]:
    """log(exp(log_weights) @ matrix), exact over any range of weights.

    A plain product after taking out the largest weight; entries so far below it that a float cannot hold them are done
    again in log-space.

    Example:
        >>> log_matmul(torch.tensor([0.0, -5000.0], dtype=torch.float64), torch.eye(2, dtype=torch.float64)).tolist()
        [0.0, -5000.0]
    """
    top = log_weights.amax(dim=-1, keepdim=True).clamp(min=torch.finfo(log_weights.dtype).min)
    product = torch.log((log_weights - top).exp() @ matrix)
    tiny = product < math.log(torch.finfo(log_weights.dtype).tiny) + 40
    if bool(tiny.any()):
        possible = (log_weights > -torch.inf).to(matrix) @ (matrix > 0).to(matrix) > 0
        rows = (tiny & possible).any(dim=-1)
        shifted = (log_weights - top)[rows]
        product[rows] = torch.logsumexp(shifted[..., None] + matrix.log(), dim=-2)
    return product + top
