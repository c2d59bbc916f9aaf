"""The world as a language model: its tokenizer, and exact probabilities by the calls that a trained model answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from seqtant.lm.interface import CausalLM, Keep, LMOutput, kept_positions
from seqtant.reference.world.documents import BOS, BOS_ID, EOS, EOS_ID, NEVER, PAD, PAD_ID, UNKNOWN, Vocabulary
from seqtant.reference.world.world import World, WorldReading

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast


def build_tokenizer(vocabulary: Vocabulary, *, context_length: int) -> PreTrainedTokenizerFast:
    """A fast word-level tokenizer that puts the beginning-of-sequence token in front.

    Case does not matter, and punctuation may touch the words.

    Args:
        vocabulary: Words and their ids.
        context_length: Longest text in tokens.

    Example:
        >>> tokenizer = build_tokenizer(Vocabulary.of(["how are you ?"]), context_length=8)
        >>> ids = tokenizer("How are you?").input_ids
        >>> ids, tokenizer.decode(ids, skip_special_tokens=True)
        ([1, 6, 5, 7, 4], 'how are you ?')
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    words = Tokenizer(models.WordLevel(vocabulary.ids, unk_token=UNKNOWN))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return finished(words, context_length=context_length)


def finished(tokenizer: Tokenizer, *, context_length: int) -> PreTrainedTokenizerFast:
    """A tokenizer of any kind as transformers wants it, with the beginning-of-sequence token in front.

    Args:
        tokenizer: Knows the special tokens of the vocabulary under their ids.
        context_length: Longest text in tokens.
    """
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, BOS_ID)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNKNOWN,
        padding_side="left",
        model_max_length=context_length,
        clean_up_tokenization_spaces=False,
    )


class WorldLM(CausalLM):
    """Exact next-token log-probabilities of a world, or of one of its components, in float64.

    A token that cannot come scores minus infinity; what follows it has no defined probability, so the state before it
    is carried on, as for the other oracles.

    Args:
        world: The world, e.g. ``reference_world().component("talk", "gloomy")``.
        name: What reports call it.

    Example:
        >>> from seqtant.reference.world.world import reference_world
        >>> oracle = WorldLM(reference_world())
        >>> ids = torch.tensor([oracle.world.encode("book : the capital of france is")])
        >>> best = oracle.forward(ids, keep=1).logits[0, 0]
        >>> oracle.world.words(int(best.argmax())), round(float(best.max().exp()), 4)
        ('paris', 0.95)
    """

    bos_id, eos_id, pad_id = BOS_ID, EOS_ID, PAD_ID

    def __init__(self, world: World, *, name: str = "reference world") -> None:
        self.world, self.name = world, name
        self.vocabulary_size = world.vocabulary.size
        self.tokenizer = build_tokenizer(world.vocabulary, context_length=2**31)

    def forward(
        self,
        input_ids: Int[Tensor, "batch time"],
        attention_mask: Int[Tensor, "batch time"] | None = None,
        *,
        cache: list[WorldReading] | None = None,
        keep: Keep = None,
        use_cache: bool = False,
    ) -> LMOutput:
        """See :meth:`CausalLM.forward`; the cache is one reading per row."""
        batch, time = input_ids.shape
        readings = list(cache) if cache is not None else [self.world.read() for _ in range(batch)]
        wanted = kept_positions(keep, time, input_ids.device)
        column = {position: number for number, position in enumerate(wanted.tolist())}
        rows = np.empty((batch, len(column), self.vocabulary_size))
        for row in range(batch):
            mask = [1] * time if attention_mask is None else attention_mask[row].tolist()
            for position, token in enumerate(input_ids[row].tolist()):
                # Neither padding nor a token that cannot come moves the reading; those of the cache stay as they are.
                if mask[position] and (ahead := readings[row].copy()).advance(token) > NEVER:
                    readings[row] = ahead
                if position in column:
                    rows[row, column[position]] = readings[row].log_probs()
        return LMOutput(torch.from_numpy(rows), readings if use_cache else None)

    def select_rows(self, cache: list[WorldReading], rows: Int[Tensor, " selected"]) -> list[WorldReading]:
        """See :meth:`CausalLM.select_rows`."""
        return [cache[row].copy() for row in rows.tolist()]
