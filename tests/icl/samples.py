"""Small models over words, and tasks for them: one with random weights, one whose mixture of tasks is exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from seqtant.icl.prompts.tasks import Example, Task
from seqtant.lm.huggingface import HuggingFaceLM

WORDS = ("<s>", "<unk>", ":", ".", "big", "small", "cat", "dog", "yes", "no", "not", "0", "red", "blue", "very")


def word_tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", unk_token="<unk>", pad_token="<unk>")


def byte_tokenizer(texts: list[str], size: int = 300) -> PreTrainedTokenizerFast:
    """Byte-pair encoding as GPT-2 does it, so that words carry their leading space and labels may be several tokens."""
    from tokenizers import decoders, trainers

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
    )
    words.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", pad_token="<s>")


def random_llama(tokenizer: PreTrainedTokenizerFast, *, context: int = 256, seed: int = 0) -> HuggingFaceLM:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=context,
            initializer_range=0.4,
            bos_token_id=tokenizer.bos_token_id,
        )
        return HuggingFaceLM(LlamaForCausalLM(config), tokenizer, name="random")


def save(model: HuggingFaceLM, folder: Path) -> Path:
    model.model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return folder


def word_task(name: str, count: int = 80, *, labels: tuple[str, ...] = ("yes", "no"), seed: int = 0) -> Task:
    rng = np.random.default_rng(seed)
    inputs = [
        f"{size} {color} {pet}" for size in ("big", "small") for color in ("red", "blue") for pet in ("cat", "dog")
    ]
    examples = tuple(Example(inputs[rng.integers(8)], labels[rng.integers(len(labels))]) for _ in range(count))
    return Task(name=name, examples=examples, labels=labels, template="{input} : {label} .", delimiter=" ", is_law=True)


def write_task(path: Path, name: str, labels: tuple[object, ...], count: int = 60) -> Path:
    """A file of different examples: the first word decides the label."""
    import json

    lines = [json.dumps({"name": name, "template": "{input} : {label} .", "delimiter": " "})]
    colors, pets, sizes = ("red", "blue", "very"), ("cat", "dog"), ("big", "small")
    for number in range(count):
        parts = [sizes[number % 2], *(colors[(number // 2**i) % 3] for i in range(4)), pets[(number // 7) % 2]]
        lines.append(
            json.dumps({"input": " ".join(parts) + " very" * (number // 20), "label": labels[number % len(labels)]})
        )
    path.write_text("\n".join(lines) + "\n")
    return path
