"""The posterior mixture of several models: exact Bayesian inference over which of them writes the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.interface import (
    CausalLM,
    Keep,
    LMOutput,
    Tokens,
    as_tokens,
    check_left_padding,
    gathered,
    kept_positions,
    logits_per_pass,
)


@dataclass(frozen=True)
class MixtureCache:
    """What the mixture knows after the tokens read so far."""

    parts: tuple[Any, ...]
    """The components' own caches."""
    log_weights: Float[Tensor, "batch components"]
    """Log posterior weight of each component; normalized."""
    last_log_probs: tuple[Float[Tensor, "batch vocabulary"], ...]
    """Per component: what it expects next."""
    started: Bool[Tensor, " batch"]
    """Whether a real token has been read; the first one is given and moves no weight."""


class MixtureLM(CausalLM):
    """A mixture of language models on the joint probability of the whole sequence.

    With prior weights w_k, P(x_1..x_n | x_0) = sum_k w_k P_k(x_1..x_n | x_0), where x_0 is the given first token. The
    next-token distribution is the average of the components' under their posterior weights, which the text so far has
    moved by Bayes' rule. This is no average of logits, and its weights are not fixed.

    Args:
        components: Models over the same vocabulary, on the same device.
        log_prior: Log prior weight of each component, up to a common constant; in log-space, since weights of e^-90 are
            ordinary. None means equal weights.
        name: What reports call it.

    Raises:
        InputError: Fewer than two components, differing vocabularies or tokenizers, or weights that are no numbers.

    Example:
        >>> import math
        >>> from seqtant.lm.oracles import MarkovLM
        >>> fair, loaded = MarkovLM([0.5, 0.5]), MarkovLM([0.9, 0.1])
        >>> coin = MixtureLM([fair, loaded], [math.log(0.5), math.log(0.5)])
        >>> coin.posterior([[0, 0, 0]])[0].exp()  # after 0, 1 and 2 tokens that count
        tensor([[0.5000, 0.5000],
                [0.3571, 0.6429],
                [0.2358, 0.7642]], dtype=torch.float64)
    """

    def __init__(
        self, components: Sequence[CausalLM], log_prior: ArrayLike | None = None, *, name: str = "mixture"
    ) -> None:
        if len(components) < 2:
            raise InputError(f"a mixture needs at least two models, got {len(components)}")
        first = components[0]
        for model in components[1:]:
            if model.vocabulary_size != first.vocabulary_size:
                raise InputError(
                    f"'{first.name}' knows {first.vocabulary_size} tokens and '{model.name}' {model.vocabulary_size}: "
                    "models of a mixture must share one tokenizer"
                )
            if model.device != first.device:
                raise InputError(
                    f"'{first.name}' is on {first.device} and '{model.name}' on {model.device}: load both on one"
                )
        # Equal sizes do not make equal words.
        words = [(model, model.tokenizer.get_vocab()) for model in components if model.tokenizer is not None]
        for model, vocabulary in words[1:]:
            if vocabulary != words[0][1]:
                raise InputError(
                    f"'{words[0][0].name}' and '{model.name}' have different tokenizers: "
                    "models of a mixture must share one"
                )
        weights = [0.0] * len(components) if log_prior is None else log_prior
        prior = torch.as_tensor(weights, dtype=torch.float64)
        if prior.shape != (len(components),) or bool(torch.isnan(prior).any()) or not bool(torch.isfinite(prior.max())):
            raise InputError(f"log_prior must hold {len(components)} log weights, at least one of them finite")
        self.components = tuple(components)
        self.name = name
        self.vocabulary_size = first.vocabulary_size
        self.context_length = min((m.context_length for m in components if m.context_length is not None), default=None)
        self.bos_id, self.eos_id, self.pad_id = first.bos_id, first.eos_id, first.pad_id
        self.device = first.device
        self.tokenizer = next((m.tokenizer for m in components if m.tokenizer is not None), None)
        self.log_prior = torch.log_softmax(prior, dim=0).to(self.device)

    def forward(
        self,
        input_ids: Int[Tensor, "batch time"],
        attention_mask: Int[Tensor, "batch time"] | None = None,
        *,
        cache: MixtureCache | None = None,
        keep: Keep = None,
        use_cache: bool = False,
    ) -> LMOutput:
        """See :meth:`CausalLM.forward`; the logits are log-probabilities.

        Weighing the components needs every token's probability, whatever is kept: long inputs are read in slices.
        """
        batch, time = input_ids.shape
        kept = kept_positions(keep, time, input_ids.device)
        if attention_mask is not None:
            check_left_padding(attention_mask)
        size = max(1, logits_per_pass(self) // (batch * self.vocabulary_size * len(self.components)))
        pieces, past = [], cache
        for start in range(0, time, size):
            end = min(start + size, time)
            mask = None if attention_mask is None else attention_mask[:, start:end]
            inside = kept[(kept >= start) & (kept < end)] - start
            logits, past, _ = self._read(input_ids[:, start:end], mask, past, inside)
            pieces.append(logits)
        return LMOutput(torch.cat(pieces, dim=1), past if use_cache else None)

    def select_rows(self, cache: MixtureCache, rows: Int[Tensor, " selected"]) -> MixtureCache:
        """See :meth:`CausalLM.select_rows`."""
        parts = tuple(model.select_rows(part, rows) for model, part in zip(self.components, cache.parts, strict=True))
        last = tuple(line[rows] for line in cache.last_log_probs)
        return MixtureCache(parts, cache.log_weights[rows], last, cache.started[rows])

    @torch.no_grad()
    def posterior(self, sequences: Sequence[Tokens]) -> list[Float[Tensor, "time components"]]:
        """Log posterior weights of the components after each token of each sequence.

        Args:
            sequences: Token ids; the first of each is given and moves no weight.

        Returns:
            Per sequence: (time, components) float64; row t is log P(component | x_1..x_t), row 0 the log prior.

        Raises:
            InputError: A sequence cannot be read.
        """
        none = torch.empty(0, dtype=torch.long, device=self.device)
        results = []
        for ids in as_tokens(self, sequences):
            size = max(1, logits_per_pass(self) // (self.vocabulary_size * len(self.components)))
            past, lines = None, []
            for piece in ids.to(self.device)[None].split(size, dim=1):
                _, past, weights = self._read(piece, None, past, none)
                lines.append(weights[0])
            results.append(torch.cat(lines).cpu())
        return results

    def _read(
        self, input_ids: Tensor, attention_mask: Tensor | None, cache: MixtureCache | None, kept: Tensor
    ) -> tuple[Float[Tensor, "batch kept vocabulary"], MixtureCache, Float[Tensor, "batch time components"]]:
        """One slice: next-token log-probabilities at the kept positions, the new cache, log weights at each token."""
        batch = input_ids.shape[0]
        real = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        started = torch.zeros(batch, dtype=torch.bool, device=self.device) if cache is None else cache.started
        # A token moves the weights if it is real and a real one stands before it, in this slice or in an earlier one.
        counts = torch.cat([started[:, None], real[:, :-1] != 0], dim=1) & (real != 0)
        scores, expected, parts, last = [], [], [], []
        for number, model in enumerate(self.components):
            output = model.forward(
                input_ids, attention_mask, cache=None if cache is None else cache.parts[number], use_cache=True
            )
            before = None if cache is None else cache.last_log_probs[number]
            # Log-probability of each token of the slice; 0 for a first token that nothing came before.
            inner = gathered(output.logits[:, :-1], input_ids[:, 1:])
            first = inner.new_zeros(batch, 1) if before is None else before.gather(1, input_ids[:, :1]).double()
            scores.append(torch.cat([first, inner], dim=1))
            expected.append(torch.log_softmax(output.logits[:, kept], dim=-1))
            last.append(torch.log_softmax(output.logits[:, -1], dim=-1))
            parts.append(output.cache)
        prior = self.log_prior.expand(batch, -1) if cache is None else cache.log_weights
        weights = _updated(prior, torch.stack(scores, dim=-1), counts)
        # log sum_m w_m p_m(token), one component after the other: all at once would need their memory together.
        shares = weights[:, kept]  # [batch, kept, components]
        mixed = expected[0] + shares[..., 0, None].to(expected[0].dtype)
        for number, log_probs in enumerate(expected[1:], start=1):
            mixed = torch.logaddexp(mixed, log_probs + shares[..., number, None].to(log_probs.dtype))
        return mixed, MixtureCache(tuple(parts), weights[:, -1], tuple(last), started | (real[:, -1] != 0)), weights


def _updated(
    prior: Float[Tensor, "batch components"],
    scores: Float[Tensor, "batch time components"],
    counts: Bool[Tensor, "batch time"],
) -> Float[Tensor, "batch time components"]:
    """Bayes' rule at every position; a token that the mixture cannot make leaves the weights as they were."""
    steps = scores.masked_fill(~counts[..., None], 0.0)
    while True:
        moved = prior[:, None] + steps.cumsum(dim=1)
        dead = (moved == -torch.inf).all(dim=-1)
        # Once dead, all later sums are dead too: the step that killed them is the first, and only it is taken back.
        first = dead & (dead.cumsum(dim=1) == 1)
        if not bool(first.any()):
            return torch.log_softmax(moved, dim=-1)
        steps = steps.masked_fill(first[..., None], 0.0)
