"""Writes the model that all sides load: a random Llama with a byte-level tokenizer, and the pairs to extract from."""

from __future__ import annotations

import json
from pathlib import Path

SHAPES = {
    "small": {
        "hidden_size": 256,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "intermediate_size": 688,
        "vocab_size": 32000,
    },
    "1b": {
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 8192,
        "vocab_size": 32000,
        "tie_word_embeddings": True,
    },
}


def write(folder: Path, shape: str, *, pairs: int = 64, seed: int = 0) -> None:
    """Writes model, tokenizer and pairs."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {token: number for number, token in enumerate(["<s>", "</s>", "<pad>", *alphabet])}
    raw = Tokenizer(models.BPE(vocab=words, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
    )
    torch.manual_seed(seed)
    config = LlamaConfig(**SHAPES[shape], max_position_embeddings=512, bos_token_id=0, eos_token_id=1, pad_token_id=2)
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "pairs.json").write_text(json.dumps(texts(pairs)), encoding="utf-8")


def texts(pairs: int = 64) -> list[list[str]]:
    """Pairs of texts that differ in a word near the end."""
    subjects = ("the weather", "my dinner", "this book", "the long road", "her song", "a house by the sea")
    return [
        [f"I think {subjects[i % 6]} number {i} is {mood}{'!' * (i % 3)}" for mood in ("wonderful", "dreadful")]
        for i in range(pairs)
    ]
