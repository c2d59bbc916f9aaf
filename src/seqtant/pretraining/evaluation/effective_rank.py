"""Small random networks on two texts: one pass over both, or a gradient step on the first, then a pass over the second.

Everything is computed in float64: rank at precision 1e-3 would drown in the rounding of float32 products.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import grad, vmap
from torch.nn import functional

from seqtant.pretraining.theory import effective_rank_bounds

Weights = dict[str, Tensor]
Forward = Callable[[Weights, Int[Tensor, " time"]], Float[Tensor, "time vocabulary"]]
"""Logits after every word of one text, from weights."""


@dataclass(frozen=True)
class RandomNetwork:
    """A causal attention network with fresh weights, as a function of its weights.

    Attributes of a softmax network: residual stream, root-mean-square norm before each layer. Without softmax it is
    ``f(x)_j = sum_i <W_Q x_j, W_K x_i> W_O W_V x_i`` layer after layer, a polynomial in its weights.
    """

    depth: int
    """Attention layers."""
    width: int
    """Width of the stream."""
    heads: int
    """Attention heads."""
    softmax: bool = True
    """Softmax, residual stream and norms; without them a homogeneous polynomial in the weights."""

    def weights(self, vocabulary: int, words: int, generator: torch.Generator) -> Weights:
        """Fresh weights, normal: matrices of variance 1 / width, word vectors of variance 1, position vectors 0.64."""

        def normal(*shape: int, std: float) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64) * std

        scale = 1 / math.sqrt(self.width)
        drawn = {
            f"{layer}.{name}": normal(self.width, self.width, std=scale)
            for layer in range(self.depth)
            for name in ("query", "key", "value", "output")
        }
        drawn["embedding"] = normal(vocabulary, self.width, std=1.0)
        drawn["positions"] = normal(words, self.width, std=0.8)
        drawn["head"] = normal(vocabulary, self.width, std=scale)
        return drawn

    def __call__(self, weights: Weights, text: Int[Tensor, " time"]) -> Float[Tensor, "time vocabulary"]:
        """Logits after every word."""
        x = weights["embedding"][text] + weights["positions"][: text.shape[0]]
        for layer in range(self.depth):
            own = {name: weights[f"{layer}.{name}"] for name in ("query", "key", "value", "output")}
            x = x + self._attention(own, _normed(x)) if self.softmax else self._attention(own, x)
        return (_normed(x) if self.softmax else x) @ weights["head"].T

    def _attention(self, own: Weights, x: Tensor) -> Tensor:
        query, key, value = (
            (x @ own[name].T).unflatten(-1, (self.heads, -1)).transpose(0, 1) for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])
        causal = torch.ones(len(x), len(x), dtype=torch.bool).tril()
        if self.softmax:
            scores = scores.masked_fill(~causal, -math.inf).softmax(-1)
        else:
            scores = scores.masked_fill(~causal, 0.0)
        return (scores @ value).transpose(0, 1).flatten(1) @ own["output"].T


def _normed(x: Tensor) -> Tensor:
    return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()


@dataclass(frozen=True)
class Texts:
    """Earlier and later texts."""

    earlier: Int[Tensor, "texts words"]
    """S1, one per row."""
    later: Int[Tensor, "texts words"]
    """S2, one per column of the matrices."""


def draw_texts(vocabulary: int, words: int, texts: int, generator: torch.Generator) -> Texts:
    """Random texts."""
    earlier, later = (torch.randint(vocabulary, (texts, words), generator=generator) for _ in range(2))
    return Texts(earlier, later)


def in_context_matrix(network: RandomNetwork, weights: Weights, texts: Texts) -> Float[np.ndarray, "earlier later"]:
    """One output coordinate after reading an earlier and then a later text in one pass."""
    rows = []
    for first in texts.earlier:
        both = torch.cat([first.expand(len(texts.later), -1), texts.later], dim=1)
        rows.append(vmap(lambda text: network(weights, text)[-1, 0])(both))
    return torch.stack(rows).numpy()


def _text_loss(network: RandomNetwork, weights: Weights, text: Tensor) -> Tensor:
    return functional.cross_entropy(network(weights, text)[:-1], text[1:])


def text_gradients(network: RandomNetwork, weights: Weights, texts: Texts) -> Weights:
    """Gradient of the next-word loss on each earlier text, stacked along the first axis of every weight."""
    return vmap(grad(lambda w, text: _text_loss(network, w, text)), in_dims=(None, 0))(weights, texts.earlier)


def mean_relative_size(weights: Weights, gradients: Weights) -> float:
    """Mean over texts of the gradient's length, over the length of the weights."""
    size = torch.stack([w.square().sum() for w in weights.values()]).sum().sqrt()
    each = torch.stack([g.square().flatten(1).sum(1) for g in gradients.values()]).sum(0).sqrt()
    return float(each.mean() / size)


def sequential_matrix(
    network: RandomNetwork, weights: Weights, texts: Texts, gradients: Weights, rate: float
) -> Float[np.ndarray, "earlier later"]:
    """The same coordinate after a later text alone, once the weights have taken a step on an earlier one."""
    rows = []
    for index in range(len(texts.earlier)):
        stepped = {name: weight - rate * gradients[name][index] for name, weight in weights.items()}
        rows.append(vmap(lambda text, w=stepped: network(w, text)[-1, 0])(texts.later))
    return torch.stack(rows).numpy()


@dataclass(frozen=True)
class RankRow:
    """Bounds on the rank at one depth, of one way to see the earlier text, at one precision."""

    depth: int
    """Layers."""
    relative_step: float | None
    """Length of the gradient step over that of the weights; None for in context."""
    precision: float
    """Precision relative to the largest output."""
    lower: int
    """Lower bound on the effective separation rank."""
    upper: int
    """Upper bound."""


def rank_rows(
    network: RandomNetwork,
    *,
    vocabulary: int,
    words: int,
    texts: int,
    relative_steps: tuple[float, ...],
    precisions: tuple[float, ...],
    generator: torch.Generator,
) -> list[RankRow]:
    """Effective ranks of one network, in context and across a step of each size.

    Args:
        network: The network.
        vocabulary: Words.
        words: Words of each text.
        texts: Number of earlier, and of later texts.
        relative_steps: Mean length of the step over the length of the weights.
        precisions: Precisions.
        generator: Source of weights and texts.
    """
    weights = network.weights(vocabulary, 2 * words, generator)
    drawn = draw_texts(vocabulary, words, texts, generator)
    gradients = text_gradients(network, weights, drawn)
    size = mean_relative_size(weights, gradients)
    matrices: list[tuple[float | None, np.ndarray]] = [(None, in_context_matrix(network, weights, drawn))]
    matrices += [(step, sequential_matrix(network, weights, drawn, gradients, step / size)) for step in relative_steps]
    return [
        RankRow(network.depth, step, precision, *effective_rank_bounds(matrix, precision))
        for step, matrix in matrices
        for precision in precisions
    ]


def truncation_errors(
    network: RandomNetwork,
    *,
    vocabulary: int,
    words: int,
    texts: int,
    relative_steps: tuple[float, ...],
    generator: torch.Generator,
) -> Float[np.ndarray, "orders steps"]:
    """Largest error of the sequential function's expansion in the step, cut after order 0, 1 and 2.

    The theory says that the error after order K falls as the (K+1)-th power of the step.

    Args:
        network: The network.
        vocabulary: Words.
        words: Words of each text.
        texts: Number of earlier, and of later texts.
        relative_steps: Mean length of the step over the length of the weights.
        generator: Source of weights and texts.
    """
    weights = network.weights(vocabulary, 2 * words, generator)
    drawn = draw_texts(vocabulary, words, texts, generator)
    gradients = text_gradients(network, weights, drawn)
    rates = np.array(relative_steps) / mean_relative_size(weights, gradients)
    errors = np.zeros((3, len(rates)))
    for index in range(texts):
        direction = {name: -gradients[name][index] for name in weights}

        def along(t: Tensor, d: Weights = direction) -> Tensor:
            moved = {name: weight + t * d[name] for name, weight in weights.items()}
            return vmap(lambda text: network(moved, text)[-1, 0])(drawn.later)

        series = _derivatives(along)
        for place, rate in enumerate(rates.tolist()):
            exact = along(torch.tensor(rate, dtype=torch.float64))
            partial = torch.zeros_like(exact)
            for order in range(3):
                partial = partial + series[order] * rate**order / math.factorial(order)
                errors[order, place] = max(errors[order, place], float((exact - partial).abs().max()))
    return errors


def _derivatives(function: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Value, first and second derivative at zero."""
    zero = torch.zeros((), dtype=torch.float64, requires_grad=True)
    value = function(zero)
    slope = _derivative(value, zero)
    return [value.detach(), slope.detach(), _derivative(slope, zero).detach()]


def _derivative(values: Tensor, at: Tensor) -> Tensor:
    """Derivative of many values by one number: the gradient is linear in its weights, so its own gradient by them."""
    weights = torch.zeros_like(values, requires_grad=True)
    weighted = torch.autograd.grad(values, at, weights, create_graph=True)[0]
    return torch.autograd.grad(weighted, weights, create_graph=True)[0]
