"""Finds out by which ways a network reads tokens rightly.

Families differ where nobody looks: some see later tokens, some are right with a cache one token at a time only, some
read padding as text. A probe of a dozen tokens finds out; a scored sequence without padding and cache is the truth that
the other ways are compared with.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm.huggingface import Abilities, HuggingFaceLM, only_grows

TOKENS = 12
TOLERANCE = {torch.float64: 1e-3, torch.float32: 1e-3, torch.bfloat16: 0.5, torch.float16: 0.1}
"""Largest difference of a log-probability, in nats, that rounding explains, by number type."""
STEP_TOLERANCE = 4
"""Single steps may differ by so many tolerances: some state-space families leave out the floor of their step size."""

BEYOND = {
    # The cache keeps a window; a pass over all tokens looks back on everything.
    "moshi": Abilities(steps=False, pieces=False, padding=False),
    # Queries far into a text are scaled by their column, padding included, not by their position.
    "llama4": Abilities(padding=False),
    "inkling": Abilities(padding=False),
}
"""Families -> what goes wrong at lengths that the probe does not reach (transformers 5.23)."""

_KNOWN: WeakKeyDictionary[nn.Module, Abilities] = WeakKeyDictionary()


@torch.no_grad()
def probe(model: HuggingFaceLM) -> Abilities:
    """Finds out by which ways a network reads tokens rightly, and sets them on the wrapper; warns of those it does not.

    Changing the last token must not move the log-probabilities before it. Then a sequence read whole must agree with
    itself read token by token over a cache, in two pieces (with a copied row, twice from one cache, another text in
    between), and beside a longer row with padding on the left.

    Args:
        model: The wrapped network; its weights must be there.

    Returns:
        What was found; each network is tried once.
    """
    if model.model not in _KNOWN:
        found, kind = _probe(model), model.model.config.model_type
        known = next((each for family, each in BEYOND.items() if kind.startswith(family)), Abilities())
        found = Abilities(
            found.steps and known.steps,
            found.pieces and known.pieces,
            found.padding and known.padding,
            found.branches and known.pieces,
        )
        # Where no cache serves, nothing more is to be said of it.
        right = (found.steps, found.pieces or not found.steps, found.padding)
        if lacks := [text for text, able in zip(_LACKS, right, strict=True) if not able]:
            warnings.warn(f"'{model.name}' {'; '.join(lacks)}: it is read in slower ways that are right", stacklevel=2)
        _KNOWN[model.model] = found
    model.abilities = _KNOWN[model.model]
    return model.abilities


def _probe(model: HuggingFaceLM) -> Abilities:
    long, short = _texts(model)
    length, split = len(long), len(short)
    model.abilities = Abilities()  # each way is trusted while it is tried
    if length < 4:
        return model.abilities
    if model.model.config.model_type == "reformer":  # beyond its first chunk, which is longer than the probe
        raise InputError(f"'{model.name}' is a Reformer, which looks ahead between chunks: give a causal model")
    parameter = next(model.model.parameters())
    allowed = TOLERANCE.get(parameter.dtype, 0.5)
    whole, other = (_log_probs(model.forward(ids[None]).logits)[0] for ids in (long, short))
    if not bool(whole.isfinite().all()):
        return model.abilities  # broken weights are told by whoever reads their scores
    changed = long.clone()
    changed[-1] = short[-1] if short[-1] != long[-1] else short[0]
    ahead = float((_log_probs(model.forward(changed[None]).logits)[0] - whole)[:-1].abs().max())
    if ahead > allowed / 10:
        if getattr(getattr(model.model.config, "quantization_config", None), "load_in_8bit", False):
            raise InputError(
                f"another last token moves the scores of '{model.name}' before it by {ahead:.2g} nats: 8-bit layers "
                "with outlier columns look at all tokens at once: load it with llm_int8_threshold=0, or in 4 bits"
            )
        raise InputError(
            f"'{model.name}' looks ahead: another last token moves the scores before it by {ahead:.2g} nats, so "
            "they are no probabilities of text: give a causal language model"
        )

    def agrees(way: Callable[[], list[tuple[Tensor, Tensor]]], tolerance: float) -> bool:
        try:
            pairs = way()
        except Exception:  # the families' own errors are of every kind; all mean that this way is not theirs
            return False
        return all(float((_log_probs(found) - wanted).abs().max()) <= tolerance for found, wanted in pairs)

    def steps() -> list[tuple[Tensor, Tensor]]:
        cache: Any = model.forward(long[None, :split], use_cache=True).cache
        model.forward(short[None, :split], use_cache=True)  # a state kept in the network itself is gone now
        found = []
        for place in range(split, length):
            output = model.forward(long[None, place : place + 1], cache=cache, use_cache=True)
            cache = output.cache
            found.append((output.logits[0, 0], whole[place]))
        return found

    def pieces() -> list[tuple[Tensor, Tensor]]:
        cache: Any = model.forward(long[None, :split], use_cache=True).cache
        twice = model.select_rows(cache, torch.tensor([0, 0], device=model.device))
        model.forward(short[None, :split], use_cache=True)
        both = model.forward(long[split:].expand(2, -1), cache=twice).logits
        again = model.forward(long[None, split:], cache=cache).logits[0]
        return [(line, whole[split:]) for line in (*both, again)]

    def padding() -> list[tuple[Tensor, Tensor]]:
        pads = length - split
        ids = torch.stack([long, torch.cat([long.new_full((pads,), model.pad_id), short])])
        mask = torch.ones_like(ids)
        mask[1, :pads] = 0
        output = model.forward(ids, mask).logits
        pairs = [(output[0], whole), (output[1, pads:], other)]
        if steps_right:
            # The two last tokens after a padded beginning, at once where the family can.
            size = 2 if pieces_right else 1
            cache: Any = model.forward(ids[:, :-2], mask[:, :-2], use_cache=True).cache
            for start in range(length - 2, length, size):
                step = model.forward(ids[:, start : start + size], cache=cache, use_cache=True)
                cache, end = step.cache, start + size
                pairs += [(step.logits[0], whole[start:end]), (step.logits[1], other[start - pads : end - pads])]
        return pairs

    steps_right = agrees(steps, STEP_TOLERANCE * allowed)
    pieces_right = steps_right and agrees(pieces, allowed)
    packs = pieces_right and agrees(lambda: _branches(model, long, short, whole), allowed)
    return Abilities(steps_right, pieces_right, agrees(padding, STEP_TOLERANCE * allowed), packs)


def _branches(model: HuggingFaceLM, long: Tensor, short: Tensor, whole: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Three continuations of one text, two of which begin alike, packed into one row, beside what they are alone."""
    split = len(short)
    cache: Any = model.forward(long[None, :split], use_cache=True).cache
    if not model.takes_positions or not all(only_grows(each, windows=False) for each in cache.past.layers):
        raise TypeError("a mask of one's own is for caches of keys and values of all tokens")
    lines = [long[split:], long[split:-1], short[:2]]
    found, paths = model.read_branches(cache, [line.tolist() for line in lines])
    alone = _log_probs(model.forward(torch.cat([long[:split], short[:2]])[None]).logits)[0]
    return list(zip([found[path] for path in paths], (whole[split:], whole[split:-1], alone[split:]), strict=True))


_LACKS = (
    "cannot go on from its cache",
    "goes on from its cache rightly only one token at a time",
    "reads padding as text",
)


def _texts(model: HuggingFaceLM) -> tuple[Tensor, Tensor]:
    """Two texts of ordinary tokens, of unlike length; no two tokens of a text are alike where the vocabulary allows."""
    special = set(getattr(model.tokenizer, "all_special_ids", ()))
    special |= {value for name, value in vars(model.model.config).items() if "token" in name and isinstance(value, int)}
    top = model.vocabulary_size if model.tokenizer is None else min(model.vocabulary_size, len(model.tokenizer))
    ordinary = [token for token in range(top) if token not in special][:4096] or list(range(model.vocabulary_size))
    order = torch.randperm(len(ordinary), generator=torch.Generator().manual_seed(0))
    repeated = [ordinary[int(place)] for place in order] * (2 * TOKENS // len(ordinary) + 1)
    length = min(TOKENS, model.context_length or TOKENS)
    ids = torch.tensor(repeated[: length + length // 2 + 1], device=model.device)
    return ids[:length], ids[length:]


def _log_probs(logits: Tensor) -> Float[Tensor, "*positions vocabulary"]:
    return torch.log_softmax(logits.double(), dim=-1)
