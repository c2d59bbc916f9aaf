"""Sampling and greedy decoding in batches, where what a row says does not depend on what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.continuations import TOKENS_IN_CACHE
from seqtant.lm.interface import CausalLM, Tokens, as_tokens, gathered, group_by_length, pad, reading_rows
from seqtant.processes import over_batches
from seqtant.progress import SILENT, Progress


@dataclass(frozen=True)
class Generated:
    """One sampled continuation."""

    tokens: list[int]
    """New token ids, the stop token included if one was drawn."""
    log_probs: Float[Tensor, " time"]
    """Log-probability of each under the model itself, whatever the temperature and truncation; float64, in nats."""
    drawn_log_probs: Float[Tensor, " time"]
    """Log-probability of each under the distribution it was drawn from; float64, in nats."""
    stopped: bool
    """Whether a stop token ended it, rather than the length."""


@torch.no_grad()
def generate(
    model: CausalLM,
    prompts: Sequence[Tokens],
    *,
    max_tokens: int,
    min_tokens: int = 0,
    sampling: Sampling | None = None,
    generator: torch.Generator | None = None,
    seeds: Sequence[int] | None = None,
    samples: int = 1,
    stop_ids: Sequence[int] | None = None,
    tokens_per_batch: int = TOKENS_IN_CACHE,
    progress: Progress = SILENT,
) -> list[Generated]:
    """Continues every prompt.

    Every row draws from a generator of its own, so the result for a prompt is the same alone and in any batch, up to
    the rounding of the model's own arithmetic.

    Args:
        model: The model.
        prompts: Token ids, at least one each.
        max_tokens: Most new tokens.
        min_tokens: Stop tokens cannot come earlier than this many new tokens.
        sampling: Temperature, truncation, restriction; by default the model's own distribution.
        generator: Source of the seeds; needed unless greedy or ``seeds`` are given.
        seeds: One seed per returned row instead: the same seeds give the same noise under, say, another steering.
        samples: Continuations per prompt; those in one batch share one reading of it.
        stop_ids: Tokens that end a row; by default the end-of-sequence token, if there is one.
        tokens_per_batch: Most tokens in one batch, prompts and new tokens together.
        progress: Told how many continuations are done.

    Returns:
        ``samples`` continuations of the first prompt, then of the second, and so on.

    Raises:
        InputError: A prompt cannot be read or is too long for so many new tokens, randomness is missing, or no token
            is left to draw.

    Example:
        >>> from seqtant.lm.oracles import MarkovLM
        >>> cycle = MarkovLM([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
        >>> generate(cycle, [[0]], max_tokens=4, sampling=Sampling(temperature=0))[0].tokens
        [1, 2, 0, 1]
    """
    if max_tokens < 1 or samples < 1 or not 0 <= min_tokens <= max_tokens:
        raise InputError(
            f"max_tokens ({max_tokens}) and samples ({samples}) must be at least 1, "
            f"and min_tokens ({min_tokens}) must lie in 0 to max_tokens"
        )
    ids = as_tokens(model, prompts, what="prompt", reserve=max_tokens)
    sampling = sampling or Sampling()
    rows = len(ids) * samples
    if seeds is not None:
        if len(seeds) != rows:
            raise InputError(f"{len(seeds)} seeds for {rows} continuations: give one for each")
        noise = row_uniforms(seeds, max_tokens)
    elif generator is not None:
        noise = row_uniforms(row_seeds(generator, rows), max_tokens)
    elif sampling.greedy:
        noise = torch.zeros(rows, max_tokens, dtype=torch.float64)
    else:
        raise InputError("sampling needs randomness: give a torch.Generator or seeds, or temperature=0")
    stops = ([] if model.eos_id is None else [model.eos_id]) if stop_ids is None else list(stop_ids)
    if any(not 0 <= token < model.vocabulary_size for token in stops):
        raise InputError(f"stop_ids must lie in 0 to {model.vocabulary_size - 1}, got {stops}")
    ends = torch.tensor(sorted(set(stops)), dtype=torch.long, device=model.device)
    rows_of = [index for index in range(len(ids)) for _ in range(samples)]
    lengths = [ids[row].numel() + max_tokens for row in rows_of]

    def draw_rows(group: Sequence[int]) -> dict[int, Generated]:
        state = _start(model, ids, [rows_of[row] for row in group], group)
        made = _continue(model, state, noise[group], sampling, ends, min_tokens=min_tokens)
        return dict(zip(group, made, strict=True))

    found = over_batches(
        group_by_length(lengths, tokens_per_batch), draw_rows, progress.task("generating", len(rows_of))
    )
    return [found[row] for row in range(len(rows_of))]


@dataclass
class _State:
    """Rows under way; those that are done leave it now and then."""

    rows: Tensor
    """Which result each row becomes, (batch,)."""
    places: Tensor
    """Which line of the group's buffers each row fills, (batch,)."""
    cache: Any
    logits: Tensor
    """Scores of the next token, (batch, vocabulary)."""


def _start(model: CausalLM, ids: Sequence[Tensor], prompts: Sequence[int], rows: Sequence[int]) -> _State:
    """Reads each prompt once and hands its cache to every row that continues it."""
    distinct = list(dict.fromkeys(prompts))
    batch = pad(ids, distinct, model, side="left")
    owner = torch.tensor([distinct.index(prompt) for prompt in prompts], device=model.device)
    # A prompt that several rows continue is read as the first of them.
    first = torch.tensor([rows[prompts.index(prompt)] for prompt in distinct], device=model.device)
    with reading_rows(first):
        output = model.forward(batch.input_ids, batch.mask, keep=1, use_cache=True)
    cache, logits = output.cache, output.logits[:, -1]
    if len(distinct) < len(prompts):
        cache, logits = model.select_rows(cache, owner), logits[owner]
    return _State(torch.tensor(rows, device=model.device), torch.arange(len(rows), device=model.device), cache, logits)


def _continue(
    model: CausalLM, state: _State, noise: Tensor, sampling: Sampling, stops: Tensor, *, min_tokens: int
) -> list[Generated]:
    """Draws token after token; finished rows leave the batch once they are half of it."""
    noise = noise.to(model.device)
    count, steps = noise.shape
    tokens = torch.zeros(count, steps, dtype=torch.long, device=model.device)
    scores = torch.zeros(2, count, steps, dtype=torch.float64, device=model.device)
    lengths = torch.full((count,), steps, device=model.device)
    active = torch.ones(count, dtype=torch.bool, device=model.device)
    for step in range(steps):
        drawn_from = sampling.log_probs(state.logits, stops if step < min_tokens else None)
        token = draw(drawn_from, noise[state.places, step])
        # ``places`` maps the shrinking batch to fixed lines of the buffers. A row that ended goes on writing until it
        # leaves; ``lengths`` cuts that off.
        tokens[state.places, step] = token
        scores[0, state.places, step] = gathered(state.logits[:, None], token[:, None])[:, 0]
        scores[1, state.places, step] = drawn_from.gather(1, token[:, None])[:, 0]
        ended = active & torch.isin(token, stops)
        lengths[state.places[ended]] = step + 1
        active = active & ~ended
        if step + 1 == steps or not bool(active.any()):
            break
        if int(active.sum()) * 2 <= active.numel():
            keep = active.nonzero().squeeze(1)
            state.rows, state.places = state.rows[keep], state.places[keep]
            state.cache = model.select_rows(state.cache, keep)
            token, active = token[active], torch.ones_like(keep, dtype=torch.bool)
        with reading_rows(state.rows):
            output = model.forward(token[:, None], cache=state.cache, keep=1, use_cache=True)
        state.cache, state.logits = output.cache, output.logits[:, -1]
    made: list[Generated] = []
    tokens, scores, ends = tokens.cpu(), scores.cpu(), set(stops.tolist())
    for line, length in enumerate(lengths.tolist()):
        ids = tokens[line, :length].tolist()
        own, drawn_from = scores[:, line, :length].clone()
        made.append(Generated(ids, own, drawn_from, stopped=ids[-1] in ends))
    return made


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a next token is chosen.

    Raises:
        InputError: A value is outside its range.

    Example:
        >>> Sampling(temperature=0.0).greedy
        True
    """

    temperature: float = 1.0
    """Divides the logits; 0 always takes the likeliest token."""
    top_k: int | None = None
    """Only the so many likeliest tokens; None for all."""
    top_p: float = 1.0
    """Only the smallest set of likeliest tokens that holds this probability."""
    allowed_ids: tuple[int, ...] | None = None
    """Only these tokens; None for all."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature < float("inf"):
            raise InputError(f"temperature must be a number of at least 0, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise InputError(f"top_k must be at least 1, got {self.top_k}")
        if not 0.0 < self.top_p <= 1.0:
            raise InputError(f"top_p must lie above 0 and at most at 1, got {self.top_p}")
        if self.allowed_ids is not None and not self.allowed_ids:
            raise InputError("allowed_ids is empty: nothing could be drawn")

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature == 0.0

    def log_probs(
        self, logits: Float[Tensor, "batch vocabulary"], forbidden: Int[Tensor, " ids"] | None = None
    ) -> Float[Tensor, "batch vocabulary"]:
        """The distribution that is drawn from, float64: restricted, tempered, truncated, normalized.

        Args:
            logits: The model's scores.
            forbidden: Tokens that may not come now (stop tokens before the least length).

        Raises:
            InputError: Nothing is left to draw.
        """
        scores = logits.double()
        if self.allowed_ids is not None:
            allowed = torch.tensor(self.allowed_ids, device=scores.device)
            scores = torch.full_like(scores, -torch.inf).index_copy(-1, allowed, scores[:, allowed])
        if forbidden is not None and forbidden.numel():
            scores = scores.index_fill(-1, forbidden, -torch.inf)
        highest = scores.amax(dim=-1)
        if not bool(torch.isfinite(highest).all()):
            if bool((highest == -torch.inf).any()):
                raise InputError("no token is left to draw: allow more ids, or a shorter least length")
            raise InputError("the model's scores are no numbers: its weights may be corrupt, or overflow in their type")
        if self.greedy:
            best = scores.argmax(dim=-1, keepdim=True)
            return torch.full_like(scores, -torch.inf).scatter(-1, best, 0.0)
        log_probs = torch.log_softmax(scores / self.temperature, dim=-1)
        if (self.top_k is None or self.top_k >= log_probs.shape[-1]) and self.top_p >= 1.0:
            return log_probs
        # Ties at the edge are settled by the order of a stable sort.
        ordered, index = log_probs.sort(dim=-1, descending=True, stable=True)
        keep = torch.ones_like(ordered, dtype=torch.bool)
        if self.top_k is not None:
            keep[:, self.top_k :] = False
            # top_p is a share of what top_k left, so the mass is normalized again before it is summed.
            ordered = ordered.masked_fill(~keep, -torch.inf).log_softmax(dim=-1)
        if self.top_p < 1.0:
            # A token stays if the likelier ones do not yet hold top_p: the smallest set that does.
            before = ordered.exp().cumsum(dim=-1) - ordered.exp()
            keep &= before < self.top_p
        # From sorted order back to token ids.
        kept = torch.zeros_like(keep).scatter(-1, index, keep)
        return log_probs.masked_fill(~kept, -torch.inf).log_softmax(dim=-1)


def row_seeds(generator: torch.Generator, rows: int) -> list[int]:
    """One seed per row, drawn from the caller's generator.

    Example:
        >>> len(row_seeds(torch.Generator().manual_seed(0), 3))
        3
    """
    return torch.randint(2**63 - 1, (rows,), generator=generator, device=generator.device).tolist()


def row_uniforms(seeds: Sequence[int], steps: int) -> Float[Tensor, "rows steps"]:
    """Uniform numbers in [0, 1), each row from a generator of its own, so that no row depends on its neighbors.

    Example:
        >>> bool((row_uniforms([1, 2], 3)[1] == row_uniforms([2], 3)[0]).all())
        True
    """
    lines = [torch.rand(steps, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(lines) if lines else torch.empty(0, steps, dtype=torch.float64)


def draw(log_probs: Float[Tensor, "batch vocabulary"], uniform: Float[Tensor, " batch"]) -> Int[Tensor, " batch"]:
    """Draws one token per row by inverting the cumulative distribution; never a token of probability zero.

    Example:
        >>> draw(torch.tensor([[0.5, 0.5], [0.0, 1.0]]).log(), torch.tensor([0.7, 0.0])).tolist()
        [1, 1]
    """
    sums = log_probs.double().exp().cumsum(dim=-1)
    # In float64 a uniform number below 1 times the last sum always stays below it, so the search ends inside.
    target = uniform.to(sums)[:, None] * sums[:, -1:]
    return torch.searchsorted(sums, target, right=True).squeeze(-1)
