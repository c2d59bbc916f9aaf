"""Prompts as a model with another tokenizer reads them, and what tells two such models apart: log-ratios of texts.

Divergences token by token need one vocabulary. Texts do not: each model reads the text in tokens of its own, and the
log-ratio of a sentence is the difference of what the two give to it. Its mean over prompts is the same divergence; it
only scatters more than a sum over the whole vocabulary.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from seqtant.beb.prompts.divergence import Evidence, gather
from seqtant.beb.prompts.per_sentence import of_targets, sum_by_sentence
from seqtant.beb.prompts.sampling import Prompt
from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM
from seqtant.lm.text import decode, tokenizer_of
from seqtant.progress import SILENT, Progress


def share_words(first: CausalLM, second: CausalLM) -> bool:
    """Whether two models read the same token ids the same way."""
    words, own = first.tokenizer, second.tokenizer
    same = first.vocabulary_size == second.vocabulary_size and first.bos_id == second.bos_id
    if words is None or own is None or words is own:
        return same
    return same and words.get_vocab() == own.get_vocab()


def respell(prompts: Sequence[Prompt], writer: CausalLM, reader: CausalLM, *, reserve: int = 0) -> list[Prompt]:
    """The same texts in the tokens of another model.

    A token that reaches over the end of a sentence belongs to the next one.

    Args:
        prompts: In the tokens of ``writer``.
        writer: Who wrote them.
        reader: Who is to read them; its tokenizer must tell which characters each token covers.
        reserve: Tokens that will be added to each.

    Raises:
        InputError: The tokenizer cannot tell, a prompt begins with nothing, or it does not fit the reader's context.
    """
    tokenizer = tokenizer_of(reader)
    if not tokenizer.is_fast:
        raise InputError(
            f"the tokenizer of '{reader.name}' does not tell which characters a token covers: save it as a fast one "
            "(tokenizer.json)"
        )
    begin = [] if reader.bos_id is None else [reader.bos_id]
    result = []
    for prompt in prompts:
        # Lengths of decoded beginnings: where the opening and each sentence end in the text.
        marks = [len(text) for text in decode(writer, [prompt.ids[: prompt.start], *map(prompt.upto, _all(prompt))])]
        (text,) = decode(writer, [prompt.ids])
        read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        reached = [end for _, end in read["offset_mapping"]]
        start, *ends = (len(begin) + bisect_right(reached, mark) for mark in marks)
        ids = (*begin, *read["input_ids"])
        if start == 0:
            raise InputError(
                f"'{reader.name}' has no beginning-of-sequence token: give opening, a text prompts begin with"
            )
        if reader.context_length is not None and len(ids) + reserve > reader.context_length:
            raise InputError(
                f"a prompt has {len(ids)} tokens for '{reader.name}', which reads {reader.context_length} with "
                f"{reserve} kept for the answer: ask for fewer sentences"
            )
        result.append(Prompt(ids, start, tuple(end - 1 for end in ends)))
    return result


def _all(prompt: Prompt) -> range:
    return range(1, len(prompt.ends) + 1)


def evidence_of(
    source: CausalLM,
    others: Sequence[CausalLM],
    prompts: Sequence[Prompt],
    *,
    floor: float | None = None,
    progress: Progress = SILENT,
) -> list[Evidence]:
    """Evidence against each of some models: exact divergences where they share words, else log-ratios of texts.

    Args:
        source: Who wrote the prompts.
        others: What it is told from.
        prompts: In the tokens of the source, all of the same number of sentences.
        floor: As for :func:`seqtant.beb.prompts.divergence.gather`.
        progress: Told how far it is.

    Raises:
        InputError: As for :func:`seqtant.beb.prompts.divergence.gather` and :func:`respell`.
    """
    near = [other for other in dict.fromkeys(others) if share_words(source, other)]
    found = dict(zip(near, gather(source, near, prompts, floor=floor, progress=progress), strict=True)) if near else {}
    far = [other for other in dict.fromkeys(others) if other not in found]
    own = _spoken(source, prompts) if far else np.empty(0)
    for other in far:
        ratio = own - _spoken(other, respell(prompts, source, other))
        if not np.isfinite(ratio).all():
            raise InputError(
                f"'{other.name}' gives probability 0 to a text of '{source.name}': its evidence is infinite"
            )
        found[other] = Evidence(ratio, ratio)
    return [found[other] for other in others]


def _spoken(model: CausalLM, prompts: Sequence[Prompt]) -> Float[np.ndarray, "prompts sentences"]:
    """Log-probability of every sentence, given the prompt so far and that the text goes on."""
    return sum_by_sentence([model], prompts, lambda scores, targets: [of_targets(scores[0], targets)])[0]
