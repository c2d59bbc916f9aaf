"""Effective separation rank of small random networks: one pass over two texts, or a gradient step on the first.

For texts S1 and S2, f(S1, S2) is one output after reading both in one pass, or after S2 alone once the weights took a
gradient step on S1. The rank of the matrix f(S1, S2) at a precision says how much of the texts' joint structure it
holds. All is computed in float64: rank at precision 1e-3 would drown in the rounding of float32 products.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import grad, vmap
from torch.nn import functional

from seqtant.findings import Assumption, Estimate, Result
from seqtant.pretraining.config import EpsilonRankConfig
from seqtant.pretraining.theory import effective_rank_bounds
from seqtant.progress import track
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.fits import fit_line

Weights = dict[str, Tensor]
_STEPS = (1e-4, 3e-5, 1e-5)


@dataclass(frozen=True)
class RandomNetwork:
    """A causal attention network as a function of its weights.

    With softmax it has a residual stream and a root-mean-square norm before each layer. Without, each layer is
    ``f(x)_j = sum_{i <= j} <W_Q x_j, W_K x_i> W_O W_V x_i``, and the network a polynomial in its weights.
    """

    depth: int
    width: int
    heads: int
    softmax: bool = True
    """Softmax, residual stream and norms; without them a homogeneous polynomial in the weights."""

    def weights(self, vocabulary: int, words: int, generator: torch.Generator) -> Weights:
        """Samples normal weights: matrices of variance 1 / width, token embeddings 1, position embeddings 0.64."""

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
        """Computes the logits after every token."""
        x = weights["embedding"][text] + weights["positions"][: text.shape[0]]
        for layer in range(self.depth):
            inner = _rms_norm(x) if self.softmax else x
            # [heads, time, width / heads]
            query, key, value = (
                (inner @ weights[f"{layer}.{name}"].T).unflatten(-1, (self.heads, -1)).transpose(0, 1)
                for name in ("query", "key", "value")
            )
            scores = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])  # [heads, time, time]
            causal = torch.ones(len(x), len(x), dtype=torch.bool).tril()
            scores = scores.masked_fill(~causal, -math.inf if self.softmax else 0.0)
            scores = scores.softmax(-1) if self.softmax else scores
            added = (scores @ value).transpose(0, 1).flatten(1) @ weights[f"{layer}.output"].T
            x = x + added if self.softmax else added
        return (_rms_norm(x) if self.softmax else x) @ weights["head"].T


def _rms_norm(x: Tensor) -> Tensor:
    return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()


class Tabulation:
    """Tabulates one logit of a random network over earlier and later random texts."""

    def __init__(
        self, network: RandomNetwork, generator: torch.Generator, *, vocabulary: int, words: int, texts: int
    ) -> None:
        self.network = network
        self.weights = network.weights(vocabulary, 2 * words, generator)
        # S1, one per row of the matrices, and S2, one per column: [texts, words]
        self.earlier, self.later = (torch.randint(vocabulary, (texts, words), generator=generator) for _ in range(2))

        # Of the next-token loss on each earlier text: every weight gets a first axis of texts.
        slope = grad(lambda own, text: functional.cross_entropy(network(own, text)[:-1], text[1:]))
        self.gradients: Weights = vmap(slope, in_dims=(None, 0))(self.weights, self.earlier)

    def logits(self, weights: Weights, texts: Int[Tensor, "texts words"]) -> Float[Tensor, " texts"]:
        """Computes the tabulated logit after each text."""
        return vmap(lambda text: self.network(weights, text)[-1, 0])(texts)

    def stepped(self, index: int, rate: float | Tensor) -> Weights:
        """Takes a gradient step on one earlier text."""
        return {name: weight - rate * self.gradients[name][index] for name, weight in self.weights.items()}

    def in_context(self) -> Float[np.ndarray, "earlier later"]:
        """Tabulates the logit after reading an earlier and then a later text in one pass."""
        both = [torch.cat([first.expand(len(self.later), -1), self.later], dim=1) for first in self.earlier]
        return torch.stack([self.logits(self.weights, pairs) for pairs in both]).numpy()

    def sequential(self, rate: float) -> Float[np.ndarray, "earlier later"]:
        """Tabulates it after a later text alone, once the weights took a gradient step on an earlier text."""
        steps = (self.stepped(index, rate) for index in range(len(self.earlier)))
        return torch.stack([self.logits(weights, self.later) for weights in steps]).numpy()


def mean_relative_size(weights: Weights, gradients: Weights) -> float:
    """Computes the mean over texts of |gradient| / |weights|, norms over all weights together."""
    size = torch.stack([w.square().sum() for w in weights.values()]).sum().sqrt()
    each = torch.stack([g.square().flatten(1).sum(1) for g in gradients.values()]).sum(0).sqrt()
    return float(each.mean() / size)


@dataclass(frozen=True)
class RankRow:
    """Bounds on the rank at one depth, for one way to read the earlier text, at one precision."""

    depth: int
    relative_step: float | None
    """Length of the gradient step over that of the weights; None for in context."""
    precision: float
    """Precision relative to the largest output."""
    lower: int
    """Bounds on the effective separation rank."""
    upper: int

    @property
    def source(self) -> str:
        """How the earlier text was read: in context, or by a step of some length."""
        return "in context" if self.relative_step is None else f"step {self.relative_step:g}"


def rank_rows(table: Tabulation, relative_steps: Sequence[float], precisions: Sequence[float]) -> list[RankRow]:
    """Bounds the effective ranks of one network, in context and across a gradient step of each length."""
    size = mean_relative_size(table.weights, table.gradients)
    # A rate of step / size makes the mean step of all earlier texts as long as asked for.
    matrices: list[tuple[float | None, np.ndarray]] = [(None, table.in_context())]
    matrices += [(step, table.sequential(step / size)) for step in relative_steps]
    return [
        RankRow(table.network.depth, step, precision, *effective_rank_bounds(matrix, precision))
        for step, matrix in matrices
        for precision in precisions
    ]


def truncation_errors(table: Tabulation, relative_steps: Sequence[float]) -> Float[np.ndarray, "orders steps"]:
    """Measures the largest error of the sequential function's Taylor series in the step, cut after order 0, 1 and 2.

    By the theory the error after order K is proportional to the (K+1)-th power of the step.
    """
    rates = np.array(relative_steps) / mean_relative_size(table.weights, table.gradients)
    errors = np.zeros((3, len(rates)))
    for index in range(len(table.earlier)):

        def along(t: Tensor, index: int = index) -> Tensor:
            return table.logits(table.stepped(index, t), table.later)

        # Value, first and second derivative at t = 0.
        zero = torch.zeros((), dtype=torch.float64, requires_grad=True)
        value = along(zero)
        slope = _derivative(value, zero)
        series = [each.detach() for each in (value, slope, _derivative(slope, zero))]
        for place, rate in enumerate(rates.tolist()):
            exact = along(torch.tensor(rate, dtype=torch.float64))
            partial = torch.zeros_like(exact)
            for order in range(3):
                # Taylor: the k-th derivative times rate^k / k!.
                partial = partial + series[order] * rate**order / math.factorial(order)
                errors[order, place] = max(errors[order, place], float((exact - partial).abs().max()))
    return errors


def _derivative(values: Tensor, at: Tensor) -> Tensor:
    """Differentiates many values by one number with two backward passes.

    The gradient of sum_i w_i v_i by the number is linear in w: its gradient by w holds the derivatives of all v_i.
    """
    weights = torch.zeros_like(values, requires_grad=True)
    weighted = torch.autograd.grad(values, at, weights, create_graph=True)[0]
    return torch.autograd.grad(weighted, weights, create_graph=True)[0]


@verb(EpsilonRankConfig)
def epsilon_rank(config: EpsilonRankConfig, context: Context) -> Result:
    """Bounds the effective separation rank of small random networks, in context and across a gradient step.

    The matrix f(S1, S2) tabulates one logit over earlier texts S1 and later texts S2. Its rank at precision eps is the
    least rank of any matrix that differs by at most eps in every entry, relative to the largest; singular values bound
    it from both sides. Also measured: that the error of the Taylor series after order k falls as step^(k + 1), on
    which the derived bound rests.

    Returns:
        Bounds on the rank in one pass and across one step, the gap in every network, the slopes.

    Example:
        >>> result = epsilon_rank(depths=[1], texts=12, width=8, relative_steps=[1e-3], precisions=[1e-2])
        >>> result.values["in_context_rank_lower"] <= result.values["in_context_rank_upper"] <= 12
        True
    """
    title = f"Effective separation rank of random networks of depth {', '.join(map(str, config.depths))}"
    # The gap: one pass against the smallest step, at the finest precision and one depth.
    gap_depth = 2 if 2 in config.depths else config.depths[-1]
    step, precision = min(config.relative_steps), min(config.precisions)

    def tabulate(depth: int, seed: int) -> Tabulation:
        network, generator = RandomNetwork(depth, config.width, config.heads), torch.Generator().manual_seed(seed)
        return Tabulation(network, generator, vocabulary=config.vocabulary, words=config.words, texts=config.texts)

    with Recorder("pretraining.epsilon-rank", title, config, context, papers=(6,)) as record:
        rows = [
            row
            for depth in track(config.depths, context.progress, "depths")
            for row in rank_rows(tabulate(depth, context.seed), config.relative_steps, config.precisions)
        ]
        record.table(
            "ranks",
            "Bounds on the effective separation rank",
            ("depth", "earlier text seen", "precision", "at least", "at most"),
            [(row.depth, row.source, row.precision, row.lower, row.upper) for row in rows],
            note="Both sides are proved for the tabulated texts. Without a precision the comparison points the wrong "
            "way: an exact step writes into all weights, and its exact rank is full.",
        )
        for row in rows:
            group = f"{row.source} at {row.precision:g}"
            record.measure("rank_lower", row.lower, step=row.depth, group=group)
            record.measure("rank_upper", row.upper, step=row.depth, group=group)
        here = {row.relative_step: row for row in rows if (row.depth, row.precision) == (gap_depth, precision)}
        inside, across = here[None], here[step]
        for name, row in (("in_context", inside), ("sequential", across)):
            record.value(f"{name}_rank_lower", row.lower)
            record.value(f"{name}_rank_upper", row.upper)
        record.finding(
            "rank_gap",
            f"Is the rank larger in context than across a step of {step:g}, at depth {inside.depth} and "
            f"precision {inside.precision:g}?",
            "agrees" if inside.lower > across.upper else "disagrees" if inside.upper < across.lower else "inconclusive",
            f"At least {inside.lower} of {config.texts} in context, at most {across.upper} across the step.",
            predicted=Estimate(value=across.upper, high=across.upper, method="across the step, proved"),
            measured=Estimate(value=inside.lower, low=inside.lower, high=inside.upper, method="singular values"),
            assumptions=(
                Assumption(
                    statement="Trained networks behave as random ones do", how="random weights only; not probed"
                ),
            ),
        )
        gaps = [(context.seed, inside, across)]
        if config.networks > 1:
            seeds = range(context.seed + 1, context.seed + config.networks)
            for seed in track(seeds, context.progress, "networks"):
                inside, across = rank_rows(tabulate(gap_depth, seed), (step,), (precision,))
                gaps.append((seed, inside, across))
            _record_networks(record, gaps)
        _record_slopes(record, context.seed)
    return record.result


def _record_networks(record: Recorder, gaps: list[tuple[int, RankRow, RankRow]]) -> None:
    lower, upper = [inside.lower for _, inside, _ in gaps], [across.upper for _, _, across in gaps]
    # The gap is proved where the lower bound in context exceeds the upper bound across the step.
    proved = sum(low > high for low, high in zip(lower, upper, strict=True))
    record.value("networks", len(gaps))
    record.value("networks_with_gap", proved)
    record.value("in_context_rank_lower_least", min(lower))
    record.value("sequential_rank_upper_largest", max(upper))
    record.table(
        "networks",
        "The gap in each random network",
        ("seed", "in context, at least", "at most", "across the step, at least", "at most "),
        [(seed, a.lower, a.upper, b.lower, b.upper) for seed, a, b in gaps],
    )
    record.finding(
        "networks",
        "Is it larger in every random network?",
        "agrees" if proved == len(gaps) else "disagrees",
        f"In {proved} of {len(gaps)} networks: in context at least {min(lower)} (median {np.median(lower):g}), across "
        f"the step at most {max(upper)} (median {np.median(upper):g}).",
        predicted=Estimate(value=max(upper), high=max(upper), method="across the step, the largest bound"),
        measured=Estimate(value=min(lower), low=min(lower), method="in context, the least bound"),
    )


def _record_slopes(record: Recorder, seed: int) -> None:
    network, generator = RandomNetwork(2, 6, 1, softmax=False), torch.Generator().manual_seed(seed)
    errors = truncation_errors(Tabulation(network, generator, vocabulary=12, words=4, texts=20), _STEPS)
    # Error after order K ~ step^(K+1): a line of slope K + 1 in logarithms.
    slopes = [fit_line(np.log(_STEPS), np.log(line)).estimate("slope") for line in errors]
    for order, slope in enumerate(slopes):
        record.value(f"truncation_slope_{order}", slope.value)
        record.finding(
            f"truncation_{order}",
            f"Does the error after order {order} fall as the step to the power {order + 1}?",
            "agrees" if abs(slope.value - order - 1) < 0.15 else "disagrees",
            f"With power {slope.value:.3f}, from a polynomial network of two layers.",
            predicted=Estimate.exact(order + 1, method="next term of the expansion"),
            measured=slope,
        )
