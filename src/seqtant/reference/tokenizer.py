"""The reference model's tokenizer: one word, one token; saved so that plain transformers loads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqtant.reference.world.vocabulary import BOS, BOS_ID, EOS, PAD, UNKNOWN, Vocabulary

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
