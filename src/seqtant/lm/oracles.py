"""Language models whose probabilities are known exactly: standards that instruments are calibrated against.

Everything inside is float64, and logits are log-probabilities. A token of probability zero scores minus infinity; what
follows an impossible token has no defined probability, so the state before it is carried on (the sequence as a whole
has log-probability minus infinity all the same).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM, Keep, LMOutput, check_left_padding, kept_positions


class MarkovLM(CausalLM):
    """A Markov chain of order k over tokens.

    Args:
        transitions: Probability of the next token given the last k, shape (vocabulary,) * (k + 1), the oldest token
            first; every row sums to 1. Order 0, shape (vocabulary,), draws tokens independently.
        bos_id: Token that starts a sequence. Contexts shorter than k are filled up with it on the left, so it is
            needed for k >= 2.
        name: What reports call it.

    Raises:
        InputError: The shape is not square, a row is no distribution, or ``bos_id`` is missing.

    Example:
        >>> chain = MarkovLM([[0.9, 0.1], [0.2, 0.8]])
        >>> chain.forward(torch.tensor([[0, 1]])).logits.exp()
        tensor([[[0.9000, 0.1000],
                 [0.2000, 0.8000]]], dtype=torch.float64)
    """

    def __init__(self, transitions: ArrayLike, *, bos_id: int | None = None, name: str = "Markov chain") -> None:
        table = distributions(transitions, "transitions")
        if len(set(table.shape)) != 1:
            raise InputError(f"transitions must have one size along every axis, got shape {tuple(table.shape)}")
        self.order = table.ndim - 1
        if self.order >= 2 and bos_id is None:
            raise InputError("a Markov chain of order 2 or more needs bos_id to start a sequence")
        self.name = name
        self.vocabulary_size = table.shape[0]
        self.bos_id = bos_id
        self._log_rows = table.log().reshape(-1, self.vocabulary_size)
        # The context is read as a number in base V, the oldest token first: that is the row of the flattened table.
        self._powers = self.vocabulary_size ** torch.arange(self.order - 1, -1, -1)

    @classmethod
    def from_chain(cls, initial: ArrayLike, transitions: ArrayLike, *, name: str = "Markov chain") -> MarkovLM:
        """A first-order chain with its own start: one more token, the last id, begins every sequence.

        Args:
            initial: Probability of the first token, (states,).
            transitions: Probability of the next token given the last, (states, states).
            name: What reports call it.

        Example:
            >>> MarkovLM.from_chain([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]]).bos_id
            2
        """
        start, table = distributions(initial, "initial"), distributions(transitions, "transitions")
        states = start.numel()
        full = torch.zeros(states + 1, states + 1, dtype=torch.float64)
        full[:states, :states] = table
        # Column ``states`` stays 0: the starting token never comes again.
        full[states, :states] = start
        return cls(full.numpy(), bos_id=states, name=name)

    def forward(
        self,
        input_ids: Int[Tensor, "batch time"],
        attention_mask: Int[Tensor, "batch time"] | None = None,
        *,
        cache: Tensor | None = None,
        keep: Keep = None,
        use_cache: bool = False,
    ) -> LMOutput:
        """See :meth:`CausalLM.forward`; the cache is the last k tokens, (batch, k)."""
        batch, time = input_ids.shape
        start = 0 if self.bos_id is None else self.bos_id
        ids = input_ids
        if attention_mask is not None:
            check_left_padding(attention_mask)
            ids = ids.masked_fill(attention_mask == 0, start)
        past = ids.new_full((batch, self.order), start) if cache is None else cache
        line = torch.cat([past, ids], dim=1)
        ends = kept_positions(keep, time, ids.device)
        # ``line`` begins with k past tokens, so the k tokens up to and with position p are its columns p + 1 to p + k.
        context = ends[:, None] + torch.arange(1, self.order + 1)
        rows = (line[:, context] * self._powers).sum(dim=-1)
        return LMOutput(self._log_rows[rows], line[:, time:] if use_cache else None)

    def select_rows(self, cache: Tensor, rows: Int[Tensor, " selected"]) -> Tensor:
        """See :meth:`CausalLM.select_rows`."""
        return cache[rows]


@dataclass(frozen=True)
class Belief:
    """What a hidden Markov model knows after the tokens read so far."""

    log_state: Float[Tensor, "batch states"]
    """Log-probability of the hidden state that emits the next token."""


class HiddenMarkovLM(CausalLM):
    """A hidden Markov model over tokens, read by the exact forward filter.

    Args:
        initial: Probability of the first hidden state, (states,).
        transitions: Probability of the next hidden state given the last, (states, states).
        emissions: Probability of a token given the hidden state, (states, vocabulary).
        smoothing: Share eps of uniform transitions: (1 - eps) A + eps / states. Texts that the chain cannot make then
            keep a probability, and the filter keeps knowing something after them.
        bos_id: Token that starts a sequence: it is never emitted and resets the state to ``initial``.
        name: What reports call it.

    The filter works in log-space, so a state that evidence has made e^-5000 times less likely can still come back.

    Raises:
        InputError: A shape does not fit, a row is no distribution, or ``smoothing`` is outside 0 to 1.

    Example:
        >>> model = HiddenMarkovLM([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], [[0.8, 0.2], [0.3, 0.7]])
        >>> model.forward(torch.tensor([[0, 0]])).logits.exp()[0, -1]
        tensor([0.6904, 0.3096], dtype=torch.float64)
    """

    def __init__(
        self,
        initial: ArrayLike,
        transitions: ArrayLike,
        emissions: ArrayLike,
        *,
        smoothing: float = 0.0,
        bos_id: int | None = None,
        name: str = "hidden Markov model",
    ) -> None:
        if not 0.0 <= smoothing <= 1.0:
            raise InputError(f"smoothing must lie in 0 to 1, got {smoothing}")
        start, chain = distributions(initial, "initial"), distributions(transitions, "transitions")
        emit = distributions(emissions, "emissions")
        states = start.numel()
        if start.ndim != 1 or chain.shape != (states, states) or emit.ndim != 2 or emit.shape[0] != states:
            raise InputError(
                f"initial {tuple(start.shape)}, transitions {tuple(chain.shape)} and emissions {tuple(emit.shape)} "
                "must have shapes (states,), (states, states) and (states, vocabulary)"
            )
        self.name = name
        self.vocabulary_size = emit.shape[1]
        self.bos_id = bos_id
        self._log_initial = start.log()
        self._transitions = (1.0 - smoothing) * chain + smoothing / states
        self._emissions = emit
        self._log_emissions = emit.log()

    def forward(
        self,
        input_ids: Int[Tensor, "batch time"],
        attention_mask: Int[Tensor, "batch time"] | None = None,
        *,
        cache: Belief | None = None,
        keep: Keep = None,
        use_cache: bool = False,
    ) -> LMOutput:
        """See :meth:`CausalLM.forward`; the cache is the :class:`Belief`."""
        batch, time = input_ids.shape
        if attention_mask is not None:
            check_left_padding(attention_mask)
        belief = self._log_initial.expand(batch, -1) if cache is None else cache.log_state
        kept = kept_positions(keep, time, input_ids.device).tolist()
        beliefs = []
        wanted = set(kept)
        for position in range(time):
            # The belief about the next emitting state after one more token: weigh by the emission, then move.
            token = input_ids[:, position]
            weighed = belief + self._log_emissions[:, token].T
            total = torch.logsumexp(weighed, dim=1, keepdim=True)
            # Dividing by the evidence keeps the belief normalized; an impossible token has none and is passed over.
            weighed = torch.where(total == -torch.inf, belief, weighed - total)
            after = log_matmul(weighed, self._transitions)
            if self.bos_id is not None:
                after = torch.where((token == self.bos_id)[:, None], self._log_initial, after)
            real = None if attention_mask is None else attention_mask[:, position, None] != 0
            belief = after if real is None else torch.where(real, after, belief)
            if position in wanted:
                beliefs.append(belief)
        stacked = torch.stack(beliefs, dim=1) if beliefs else belief.new_empty(batch, 0, belief.shape[1])
        logits = log_matmul(stacked, self._emissions)
        return LMOutput(logits, Belief(belief) if use_cache else None)

    def select_rows(self, cache: Belief, rows: Int[Tensor, " selected"]) -> Belief:
        """See :meth:`CausalLM.select_rows`."""
        return Belief(cache.log_state[rows])


def distributions(table: ArrayLike, what: str) -> Float[Tensor, "*rows outcomes"]:
    """Probability rows as float64, checked and normalized to the last bit.

    Example:
        >>> distributions([[0.25, 0.75]], "coin").sum().item()
        1.0
    """
    rows = torch.as_tensor(table, dtype=torch.float64)
    if rows.ndim == 0 or rows.numel() == 0 or not bool(torch.isfinite(rows).all()) or bool((rows < 0).any()):
        raise InputError(f"{what} must be an array of probabilities: finite, not negative, not empty")
    sums = rows.sum(dim=-1, keepdim=True)
    if bool(((sums - 1).abs() > 1e-6).any()):
        worst = float(sums.flatten()[(sums - 1).abs().argmax()])
        raise InputError(f"every row of {what} must sum to 1, but one sums to {worst:.6g}")
    return rows / sums


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
    # The clamp keeps a row of -inf from becoming -inf - (-inf), which is not a number.
    top = log_weights.amax(dim=-1, keepdim=True).clamp(min=torch.finfo(log_weights.dtype).min)
    product = torch.log((log_weights - top).exp() @ matrix)
    tiny = product < math.log(torch.finfo(log_weights.dtype).tiny) + 40
    if bool(tiny.any()):
        possible = (log_weights > -torch.inf).to(matrix) @ (matrix > 0).to(matrix) > 0
        rows = (tiny & possible).any(dim=-1)
        shifted = (log_weights - top)[rows]
        product[rows] = torch.logsumexp(shifted[..., None] + matrix.log(), dim=-2)
    return product + top
