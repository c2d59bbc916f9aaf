"""Exact evidence per sentence: full-vocabulary divergences and log-ratios, one pass per model over each prompt.

Divergences token by token need one tokenizer. Models with different tokenizers are compared on texts: each reads the
text in tokens of its own, and the log-ratio of a sentence is the difference of the two log-probabilities. Its mean over
prompts is the same divergence; it only scatters more than a sum over the whole vocabulary.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.beb.prompts.sampling import Prompt
from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM, decode, tokenizer_of
from seqtant.lm.scoring import log_prob_blocks
from seqtant.progress import SILENT, Progress

PositionScores = Callable[[list[Tensor], Int[Tensor, "B T"]], Sequence[Float[Tensor, "B T"]]]
"""From the log-probabilities of each model, each (B, T, vocabulary), and the tokens that came, to numbers."""


@dataclass(frozen=True)
class Evidence:
    """What distinguishes a source from another model, sentence by sentence, in nats, given that the text goes on."""

    divergence: Float[np.ndarray, "prompts sentences"]
    """KL(source || other) summed over the tokens of each sentence, each given the prompt so far."""
    log_ratio: Float[np.ndarray, "prompts sentences"]
    """log source / other of the sentence that was sampled; its mean is the mean divergence."""

    def select(self, rows: np.ndarray) -> Evidence:
        """The evidence of some prompts, possibly repeated."""
        return Evidence(self.divergence[rows], self.log_ratio[rows])


def sentence_index(prompt: Prompt) -> np.ndarray:
    """Index of the sentence that each token belongs to; tokens of the opening get the index after the last."""
    positions = np.arange(len(prompt.ids))
    return np.where(positions < prompt.start, len(prompt.ends), np.searchsorted(np.asarray(prompt.ends), positions))


@torch.no_grad()
def sum_by_sentence(
    models: Sequence[CausalLM],
    prompts: Sequence[Prompt],
    score: PositionScores,
    *,
    index: Callable[[Prompt], np.ndarray] = sentence_index,
    progress: Progress = SILENT,
) -> Float[np.ndarray, "scores prompts sentences"]:
    """Sums scores of every position over the tokens of each sentence.

    Every model reads every prompt once. The end of the text, as the first model has it, is left out of all
    distributions, because prompts are sampled given that they go on. Tokens whose ``index`` is the one after the last
    sentence are left out.
    """
    owners = [index(prompt) for prompt in prompts]
    shape = (len(prompts), len(prompts[0].ends) + 1)
    sums: list[np.ndarray] = []
    eos = models[0].eos_id
    for block in log_prob_blocks(models, [prompt.ids for prompt in prompts], progress=progress):
        log_probs = [each.double() for each in block.log_probs]
        if eos is not None:
            # p(x | not eos): without the mass of eos, and normalized again.
            ends = torch.tensor([eos], device=log_probs[0].device)
            log_probs = [torch.log_softmax(each.index_fill(-1, ends, -torch.inf), dim=-1) for each in log_probs]
        scores = [each.cpu().numpy() for each in score(log_probs, block.targets)]
        sums = sums or [np.zeros(shape) for _ in scores]
        # The score at position t belongs to token t + 1, the one that was predicted there.
        after, real = block.positions.cpu().numpy() + 1, block.real.cpu().numpy()
        # Unbuffered add: several tokens of a block fall into one sentence.
        for line, row in enumerate(block.rows.tolist()):
            column = owners[row][after[real[line]]]
            for total, values in zip(sums, scores, strict=True):
                np.add.at(total[row], column, values[line, real[line]])
    # The last column collected the opening's tokens, which belong to no sentence.
    return np.stack(sums)[..., :-1]


def compute_evidence(
    source: CausalLM,
    others: Sequence[CausalLM],
    prompts: Sequence[Prompt],
    *,
    floor: float | None = None,
    progress: Progress = SILENT,
) -> list[Evidence]:
    """Computes the evidence for the source of some prompts against each of some other models.

    Exact divergences where tokenizers are shared, else log-ratios of texts. Every model reads every prompt once,
    however many sentences and other models there are.

    Args:
        source: The model that the prompts were sampled from.
        others: Models that it is compared with.
        prompts: In the tokens of the source; all of the same number of sentences.
        floor: Least log-probability under the others; None refuses an infinite divergence.
        progress: Told how many prompts are done.

    Returns:
        One evidence per other model.

    Raises:
        InputError: A divergence is infinite, or a prompt cannot be read.
    """
    distinct = list(dict.fromkeys(others))
    near = [other for other in distinct if other is not source and same_tokenizer(source, other)]

    def score(log_probs: list[Tensor], targets: Tensor) -> list[Tensor]:
        own, *rest = log_probs
        probs, found = own.exp(), list[Tensor]()
        for one in rest:
            # A floor on the other model alone bounds the ratio from above; the source's own stays exact.
            ratio = own - (one if floor is None else one.clamp(min=floor))
            # A token of probability 0 under the source adds 0, not nan.
            came = ratio.gather(2, targets[..., None])[..., 0]
            found += [torch.where(probs > 0, probs * ratio, 0.0).sum(dim=-1), came]
        return found

    # Nothing distinguishes the source from itself.
    found = {source: Evidence(*np.zeros((2, len(prompts), len(prompts[0].ends))))}
    if near:
        sums = sum_by_sentence([source, *near], prompts, score, progress=progress)
        for model, pair in zip(near, sums.reshape(len(near), 2, *sums.shape[1:]), strict=True):
            bad = np.argwhere(~np.isfinite(pair))
            if len(bad):
                _, prompt, sentence = bad[0].tolist()
                raise InputError(
                    f"'{model.name}' gives probability 0 to what '{source.name}' may say (sentence {sentence + 1} "
                    f"of prompt {prompt + 1}): the divergence is infinite; set floor, e.g. -40, to clamp it"
                )
            found[model] = Evidence(*pair)

    far = [other for other in distinct if other not in found]
    sums_of = {
        each: sum_by_sentence(
            [each],
            prompts if each is source else retokenize(prompts, source, each),
            lambda logs, targets: [logs[0].gather(2, targets[..., None])[..., 0]],
        )[0]
        for each in ([source, *far] if far else [])
    }
    for other in far:
        ratio = sums_of[source] - sums_of[other]
        if not np.isfinite(ratio).all():
            raise InputError(
                f"'{other.name}' gives probability 0 to a text of '{source.name}': its evidence is infinite"
            )
        found[other] = Evidence(ratio, ratio)
    return [found[other] for other in others]


def same_tokenizer(first: CausalLM, second: CausalLM) -> bool:
    """Whether two models read the same token ids the same way."""
    words, own = first.tokenizer, second.tokenizer
    same = first.vocabulary_size == second.vocabulary_size and first.bos_id == second.bos_id
    # Exact models without a tokenizer speak in ids: equal vocabularies are the same words.
    if words is None or own is None or words is own:
        return same
    return same and words.get_vocab() == own.get_vocab()


def retokenize(prompts: Sequence[Prompt], writer: CausalLM, reader: CausalLM, *, reserve: int = 0) -> list[Prompt]:
    """Tokenizes the texts of prompts again for another model.

    A token that reaches over the end of a sentence belongs to the next one.
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
        heads = [prompt.upto(sentences) for sentences in range(len(prompt.ends) + 1)]
        marks = [len(text) for text in decode(writer, heads)]
        (text,) = decode(writer, [prompt.ids])
        read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        reached = [end for _, end in read["offset_mapping"]]
        # Number of tokens that end at or before each mark; later tokens reach over it.
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
