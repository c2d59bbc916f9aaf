"""What every causal language model answers, so that instruments need not know which kind they hold.

A Hugging Face model, a mixture of models and an oracle with exact probabilities all answer one call, ``forward``.
Conventions that hold for all of them:

- The first token of a sequence is given, never scored; models that can start from nothing have a ``bos_id`` for it.
- Padding stands on the left: each row of a mask is zeros, then ones. Tokens after the end of a row need no mask,
  because no causal model lets them act on earlier positions; their outputs are simply not read.
- A cache is a value: ``forward`` returns a new one and leaves the one it was given as it was.

Sequences of unlike length become batches here: sorted by length, under a token budget, padded on either side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Keep = int | Int[Tensor, " kept"] | None
"""Which positions get logits: None for all, an int for the last so many, or positions in ascending order."""


@dataclass(frozen=True)
class LMOutput:
    """What one forward pass returns."""

    logits: Float[Tensor, "batch kept vocabulary"]
    """Scores of the next token after each kept position; float32, or float64 from models that compute in it."""
    cache: Any = None
    """What the model needs to go on after the last position; None unless asked for."""


class CausalLM(ABC):
    """A causal language model over token ids.

    Attributes:
        name: What reports call it.
        vocabulary_size: Number of scores per position.
        context_length: Most tokens it can read; None where there is no limit.
        bos_id: Beginning-of-sequence token, or None.
        eos_id: End-of-sequence token, or None.
        pad_id: Token that fills masked positions; any valid id serves, since masked positions are never read.
        device: Where inputs must lie.
        tokenizer: Turns text into ids; None for models that know ids only.
    """

    name: str
    vocabulary_size: int
    context_length: int | None = None
    bos_id: int | None = None
    eos_id: int | None = None
    pad_id: int = 0
    device: torch.device = torch.device("cpu")
    tokenizer: PreTrainedTokenizerBase | None = None

    @abstractmethod
    def forward(
        self,
        input_ids: Int[Tensor, "batch time"],
        attention_mask: Int[Tensor, "batch time"] | None = None,
        *,
        cache: Any = None,
        keep: Keep = None,
        use_cache: bool = False,
    ) -> LMOutput:
        """Reads tokens and scores what comes after each.

        Args:
            input_ids: New tokens, (batch, time).
            attention_mask: 1 for real tokens, 0 for padding on the left, (batch, time), for the *new* tokens only (the
                cache remembers its own); None means all are real.
            cache: What an earlier call with ``use_cache=True`` returned for the same rows.
            keep: Positions (within the new tokens) whose logits are wanted.
            use_cache: Whether to return a cache.

        Returns:
            Logits (batch, kept, vocabulary) and the cache. Oracles return log-probabilities as logits.
        """

    @abstractmethod
    def select_rows(self, cache: Any, rows: Int[Tensor, " selected"]) -> Any:
        """The cache of some rows, in the given order and possibly repeated: how a shared prefix is expanded."""

    def hidden(
        self, input_ids: Int[Tensor, "batch time"], *, cache: Any = None
    ) -> Float[Tensor, "batch time width"] | None:
        """The states from which :meth:`head` makes the logits, each position's from its own; None if there are none.

        Lets scoring make the logits of a few positions at a time after one pass over the whole sequence.
        """
        return None

    def head(self, hidden: Float[Tensor, "positions width"]) -> Float[Tensor, "positions vocabulary"]:
        """The logits of some final hidden states, in any order.

        Raises:
            InputError: The model has no such states.
        """
        raise InputError(f"'{self.name}' has no hidden states: this needs a Hugging Face model")


def kept_positions(keep: Keep, time: int, device: torch.device) -> Int[Tensor, " kept"]:
    """Positions that a ``keep`` argument means, among ``time`` new tokens.

    Example:
        >>> kept_positions(2, 5, torch.device("cpu")).tolist()
        [3, 4]
    """
    if keep is None:
        return torch.arange(time, device=device)
    if isinstance(keep, int):
        if not 0 < keep <= time:
            raise InputError(f"cannot keep the logits of the last {keep} of {time} positions: keep 1 to {time}")
        return torch.arange(time - keep, time, device=device)
    if keep.numel() and (int(keep.min()) < 0 or int(keep.max()) >= time):
        raise InputError(f"positions to keep must lie in 0 to {time - 1}, got {keep.tolist()}")
    return keep.to(device)


_ROWS: ContextVar[Tensor | None] = ContextVar("rows", default=None)


@contextmanager
def reading_rows(rows: Int[Tensor, " batch"]) -> Iterator[None]:
    """Announces which of the caller's rows the rows of the next forward passes are.

    Batches are sorted by length and shrink during generation; a hook with one strength per row of the caller reads the
    order here, through :func:`current_rows`.
    """
    token = _ROWS.set(rows)
    try:
        yield
    finally:
        _ROWS.reset(token)


def current_rows() -> Int[Tensor, " batch"] | None:
    """The caller's row of each row of the forward pass under way; None outside scoring and generation.

    Example:
        >>> with reading_rows(torch.tensor([2, 0])):
        ...     current_rows().tolist()
        [2, 0]
    """
    return _ROWS.get()


def encode(model: CausalLM, texts: Sequence[str], *, start: bool = True) -> list[list[int]]:
    """Token ids of some texts.

    Args:
        model: The model, with its tokenizer.
        texts: The texts.
        start: Whether to put the model's beginning-of-sequence token in front, so that the first word is scored too.
            A model that has none begins with the text itself.

    Returns:
        Token ids per text.

    Raises:
        InputError: The model has no tokenizer.
    """
    tokenizer = tokenizer_of(model)
    if isinstance(texts, str):
        raise InputError("texts is one text: give a list of texts")
    if not texts:
        return []
    first = [model.bos_id] if start and model.bos_id is not None else []
    found = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
    return [[*first, *ids] for ids in found]


def decode(model: CausalLM, sequences: Sequence[Sequence[int]]) -> list[str]:
    """The text of some token ids, special tokens left out.

    Raises:
        InputError: The model has no tokenizer.
    """
    tokenizer = tokenizer_of(model)
    return [str(tokenizer.decode(list(ids), skip_special_tokens=True)) for ids in sequences]


def encode_continuations(
    model: CausalLM, prefix: str, continuations: Sequence[str], *, start: bool = True
) -> tuple[list[int], list[list[int]]]:
    """Token ids of one prefix and of its continuations, such that joined they are those of the joined text.

    Tokenizing the two apart would score a split that the model never sees: after ``"Answer: "`` the answer ``"yes"`` is
    one token ``" yes"``. The prefix ends where all joined texts still agree with it.

    Args:
        model: The model, with its tokenizer.
        prefix: The shared beginning.
        continuations: What may come after it.
        start: As for :func:`encode`.

    Returns:
        The ids of the prefix, and of each continuation.

    Raises:
        InputError: The model has no tokenizer, a continuation is empty, or nothing is left of the prefix.
    """
    if any(not text for text in continuations):
        raise InputError("a continuation is empty: there is nothing to score")
    alone, *joined = encode(model, [prefix, *(prefix + text for text in continuations)], start=start)
    shared = common_length([alone, *joined])
    ends = [ids[shared:] for ids in joined]
    if not shared or not all(ends):
        raise InputError(
            f"the prefix {prefix!r} cannot be told from its continuations in tokens: give a longer prefix, or a model "
            "with a beginning-of-sequence token"
        )
    return alone[:shared], ends


def common_length(sequences: Sequence[Sequence[int]]) -> int:
    """Tokens at the beginning that all sequences have in common.

    Example:
        >>> common_length([[1, 2, 3], [1, 2, 4, 5], [1, 2]])
        2
    """
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*sequences, strict=False)))


def tokenizer_of(model: CausalLM) -> PreTrainedTokenizerBase:
    """The model's tokenizer."""
    if model.tokenizer is None:
        raise InputError(f"'{model.name}' has no tokenizer: give token ids, or load it with one")
    return model.tokenizer


Tokens = Sequence[int] | Int[Tensor, " time"]
"""One sequence of token ids."""


@dataclass(frozen=True)
class Batch:
    """Sequences side by side."""

    rows: Int[Tensor, " batch"]
    """Where each sequence stands among the caller's."""
    input_ids: Int[Tensor, "batch time"]
    """Token ids, padded."""
    mask: Int[Tensor, "batch time"] | None
    """1 for real tokens; None where there is no padding."""
    lengths: Int[Tensor, " batch"]
    """Real tokens per row."""


def as_tokens(
    model: CausalLM, sequences: Sequence[Tokens], *, what: str = "sequence", reserve: int = 0
) -> list[Tensor]:
    """Sequences as tensors of ids that the model can read.

    Args:
        model: Whose vocabulary and context length count.
        sequences: Token ids, any lengths of at least 1.
        what: What a sequence is called in messages.
        reserve: Tokens that will be added to each.

    Returns:
        One (time,) tensor per sequence, on the CPU.
    """
    result = []
    for number, sequence in enumerate(sequences):
        ids = torch.as_tensor(sequence, dtype=torch.long, device="cpu")
        if ids.ndim != 1 or ids.numel() == 0:
            raise InputError(
                f"{what} {number} is empty or not a flat list of token ids: give at least one token, e.g. bos_id"
            )
        if int(ids.min()) < 0 or int(ids.max()) >= model.vocabulary_size:
            raise InputError(
                f"{what} {number} holds token {int(ids.max() if ids.min() >= 0 else ids.min())}, but "
                f"'{model.name}' knows tokens 0 to {model.vocabulary_size - 1}"
            )
        check_length(model, ids.numel() + reserve, f"{what} {number}")
        result.append(ids)
    return result


def check_length(model: CausalLM, tokens: int, what: str) -> None:
    """Checks that so many tokens fit the model."""
    if model.context_length is not None and tokens > model.context_length:
        raise InputError(
            f"{what} needs {tokens} tokens, but '{model.name}' reads at most {model.context_length}: shorten it"
        )


def group_by_length(lengths: Sequence[int], tokens_per_batch: int, *, rows: int | None = None) -> list[list[int]]:
    """Indices of sequences that share a batch: like lengths together, longest first.

    Args:
        lengths: Tokens per sequence.
        tokens_per_batch: Most tokens in a batch, padding included; a longer sequence gets a batch of its own.
        rows: Most sequences in a batch; None sets no limit.

    Example:
        >>> group_by_length([3, 9, 2, 8], tokens_per_batch=18)
        [[1, 3], [0, 2]]
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    groups: list[list[int]] = []
    for index in order:
        # The first of a group is its longest, so the padded batch is rows times that length.
        fits = groups and (rows is None or len(groups[-1]) < rows)
        if fits and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= tokens_per_batch:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def group_branches(lines: Sequence[Sequence[int]], most: int) -> list[list[int]]:
    """Indices of continuations that share a row as a tree of at most ``most`` tokens, those that begin alike together.

    A longer line, or an empty one, is given a row like any other.

    Example:
        >>> group_branches([[1, 2, 3], [7], [1, 2, 4]], most=4)
        [[0, 2], [1]]
    """
    groups: list[list[int]] = []
    size = 0
    for index in sorted(range(len(lines)), key=lambda index: tuple(lines[index])):
        # In sorted order a line has most in common with the one before it.
        more = len(lines[index]) - (common_length([lines[groups[-1][-1]], lines[index]]) if groups else 0)
        if not groups or size + more > most:
            groups.append([])
            size, more = 0, len(lines[index])
        groups[-1].append(index)
        size += more
    return groups


def pad(sequences: Sequence[Tensor], rows: Sequence[int], model: CausalLM, *, side: str) -> Batch:
    """Puts the chosen sequences side by side on the model's device.

    Args:
        sequences: All sequences, (time,) each.
        rows: Which of them, in this order.
        model: Whose padding token and device count.
        side: ``"left"`` (before generation and under a shared prefix) or ``"right"`` (for scoring).
    """
    chosen = [sequences[row] for row in rows]
    lengths = torch.tensor([ids.numel() for ids in chosen])
    time = int(lengths.max())
    input_ids = torch.full((len(chosen), time), model.pad_id, dtype=torch.long)
    mask = torch.zeros(len(chosen), time, dtype=torch.long)
    for line, ids in enumerate(chosen):
        place = slice(time - ids.numel(), time) if side == "left" else slice(0, ids.numel())
        input_ids[line, place] = ids
        mask[line, place] = 1
    device = model.device
    padded = mask.to(device) if int(lengths.min()) < time else None
    return Batch(torch.tensor(rows, device=device), input_ids.to(device), padded, lengths.to(device))


def check_left_padding(attention_mask: Int[Tensor, "batch time"]) -> None:
    """Checks that padding stands before the first real token only."""
    if bool((attention_mask[:, 1:] < attention_mask[:, :-1]).any()):
        raise InputError("padding must stand on the left: each row of attention_mask is zeros, then ones")


_TOKENS_PER_PASS = {"cpu": 1024, "cuda": 16384}
"""Tokens in one forward pass by kind of device: more only thrash a CPU's caches, fewer leave a GPU idle."""

_LOGITS_PER_PASS = {"cpu": 2**23, "cuda": 2**28}
"""Most logits held at once, by kind of device: 32 MB on a CPU, 1 GB on a GPU in float32."""


def kept_logits(
    model: CausalLM,
    batch: Batch,
    positions: Int[Tensor, " kept"],
    *,
    cache: Any = None,
    budget: int | None = None,
) -> Iterator[tuple[Int[Tensor, " group"], Float[Tensor, "batch group vocabulary"]]]:
    """Logits at ascending positions of a right-padded batch, a bounded number of them at a time.

    Nothing after the last wanted position is read at all.
    """
    size = max(1, (budget or logits_per_pass(model)) // (batch.input_ids.shape[0] * model.vocabulary_size))
    groups = positions.split(size) if positions.numel() else ()
    if len(groups) > 1:
        states = _hidden(model, batch, int(positions[-1]) + 1, cache)
        if states is not None:
            for group in groups:
                chosen = states[:, group.to(states.device)]
                yield group, model.head(chosen.flatten(0, 1)).unflatten(0, chosen.shape[:2])
            return
    start = 0
    for number, group in enumerate(groups):
        end = int(group[-1]) + 1
        more = number + 1 < len(groups)
        # Each slice starts where the last one ended, so positions are counted from the slice's own start.
        keep = (group - start).to(model.device)
        with reading_rows(batch.rows):
            output = model.forward(batch.input_ids[:, start:end], cache=cache, keep=keep, use_cache=more)
        yield group, output.logits
        cache, start = output.cache, end


def target_log_probs(model: CausalLM, batch: Batch, *, cache: Any = None) -> Float[Tensor, "batch scored"]:
    """Log-probability of each token after the first of a right-padded batch, float64; of padding, any number."""
    targets = batch.input_ids[:, 1:]
    scores = torch.zeros(targets.shape, dtype=torch.float64, device=targets.device)
    states = _hidden(model, batch, targets.shape[1], cache) if targets.shape[1] else None
    if states is None:
        for group, logits in kept_logits(model, batch, torch.arange(targets.shape[1]), cache=cache):
            columns = group.to(targets.device)
            scores[:, columns] = gathered(logits, targets[:, columns])
        return scores
    real = torch.arange(targets.shape[1], device=targets.device) + 1 < batch.lengths[:, None]
    chosen, wanted = states[real], targets[real]
    size = max(1, logits_per_pass(model) // model.vocabulary_size)
    parts = [gathered(model.head(some), ids) for some, ids in zip(chosen.split(size), wanted.split(size), strict=True)]
    scores[real] = torch.cat(parts) if parts else scores.new_empty(0)
    return scores


def _hidden(model: CausalLM, batch: Batch, end: int, cache: Any) -> Float[Tensor, "batch time width"] | None:
    with reading_rows(batch.rows):
        return model.hidden(batch.input_ids[:, :end], cache=cache)


def tokens_per_pass(model: CausalLM) -> int:
    """Tokens that one forward pass of this model reads unless the caller says otherwise."""
    return _TOKENS_PER_PASS.get(model.device.type, _TOKENS_PER_PASS["cpu"])


def logits_per_pass(model: CausalLM) -> int:
    """Most logits that scoring holds at once for this model."""
    return _LOGITS_PER_PASS.get(model.device.type, _LOGITS_PER_PASS["cpu"])


def gathered(
    logits: Float[Tensor, "*positions vocabulary"], targets: Int[Tensor, "*positions"]
) -> Float[Tensor, "*positions"]:
    """Log-probability of each target, float64, in nats."""
    # Only the picked numbers become float64: the whole vocabulary in float64 would double the memory.
    return torch.log_softmax(logits, dim=-1).gather(-1, targets[..., None]).squeeze(-1).double()


def why_not_finite(model: CausalLM) -> str:
    """Says what makes a model's numbers infinite or none: a weight that is so itself, else their type."""
    network = getattr(model, "model", None)
    for name, weight in network.named_parameters() if isinstance(network, torch.nn.Module) else ():
        if weight.is_floating_point() and not weight.is_meta and not bool(weight.isfinite().all()):
            return f"its weight '{name}' holds numbers that are not finite: copy the checkpoint again"
    return "it overflows in its number type: load it with --set dtype=float32"


def check_finite(model: CausalLM, scores: Sequence[Tensor]) -> None:
    """Refuses log-probabilities that are not numbers (minus infinity is one: an impossible token)."""
    for number, line in enumerate(scores):
        if torch.isnan(line).any():
            raise InputError(f"'{model.name}' gives no number for sequence {number}: {why_not_finite(model)}")
