"""Tiny language models of every kind, with weights large enough that a wrong position or mask shows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtant.lm import CausalLM, HiddenMarkovLM, HuggingFaceLM, MarkovLM, MixtureLM

VOCABULARY = 5
SIZES = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
DECODER = {
    **SIZES,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.4,
}
GROUPED = {**DECODER, "num_key_value_heads": 1, "head_dim": 8}
GPT = {**SIZES, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 64, "initializer_range": 0.4}

FAMILIES: dict[str, tuple[str, dict]] = {
    "llama": ("Llama", GROUPED),
    "gpt2": ("GPT2", GPT),
    "neox": ("GPTNeoX", {**DECODER, "rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}),
    "qwen2": ("Qwen2", {k: v for k, v in GROUPED.items() if k != "head_dim"}),
    "qwen3": ("Qwen3", GROUPED),
    "gemma2": ("Gemma2", {**GROUPED, "sliding_window": 4, "query_pre_attn_scalar": 8, "final_logit_softcapping": 5.0}),
    "mistral": ("Mistral", {**GROUPED, "sliding_window": 4}),
    "opt": (
        "OPT",
        {
            **SIZES,
            "hidden_size": 16,
            "word_embed_proj_dim": 16,
            "ffn_dim": 24,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "max_position_embeddings": 64,
            "init_std": 0.4,
        },
    ),
    "gptj": ("GPTJ", {**GPT, "rotary_dim": 4}),
    "bloom": ("Bloom", {**SIZES, "hidden_size": 16, "n_layer": 3, "n_head": 2, "initializer_range": 0.4}),
}
"""Name -> (prefix of the transformers classes, configuration)."""


def build(family: str, seed: int = 0) -> HuggingFaceLM:
    import transformers

    prefix, fields = FAMILIES[family]
    config = getattr(transformers, f"{prefix}Config")(**fields)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return HuggingFaceLM(transformers.AutoModelForCausalLM.from_config(config), name=family)


def rows(rng: np.random.Generator, *shape: int) -> np.ndarray:
    table = rng.random(shape) ** 3 + 0.01
    return table / table.sum(axis=-1, keepdims=True)


def markov(order: int, seed: int = 1) -> MarkovLM:
    return MarkovLM(rows(np.random.default_rng(seed), *[VOCABULARY] * (order + 1)), bos_id=0, name=f"markov{order}")


def hidden(seed: int = 2, smoothing: float = 0.0) -> HiddenMarkovLM:
    rng = np.random.default_rng(seed)
    emissions = rows(rng, 3, VOCABULARY)
    return HiddenMarkovLM(rows(rng, 3), rows(rng, 3, 3), emissions, smoothing=smoothing, bos_id=0, name="hmm")


KINDS: dict[str, Callable[[], CausalLM]] = {
    "llama": lambda: build("llama"),
    "gpt2": lambda: build("gpt2"),
    "gemma2": lambda: build("gemma2"),
    "bloom": lambda: build("bloom"),
    "independent": lambda: MarkovLM([0.1, 0.2, 0.3, 0.25, 0.15], bos_id=0),
    "markov1": lambda: markov(1),
    "markov2": lambda: markov(2),
    "hmm": hidden,
    "mixture of oracles": lambda: MixtureLM([markov(1), hidden(), markov(2)], np.log([0.5, 0.2, 0.3])),
    "mixture of networks": lambda: MixtureLM([build("llama"), build("gpt2", seed=3)], [-2.0, -0.1]),
}
"""Every kind of model that must keep the invariants."""

_BUILT: dict[str, CausalLM] = {}


def built(kind: str) -> CausalLM:
    if kind not in _BUILT:
        _BUILT[kind] = KINDS[kind]()
        _BUILT[kind].pad_id = 2  # an ordinary token: a model that read its padding would be found out
    return _BUILT[kind]


@pytest.fixture(params=list(KINDS))
def model(request: pytest.FixtureRequest) -> CausalLM:
    return built(request.param)


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> HuggingFaceLM:
    """A fresh tiny network of each family."""
    return build(request.param)


@pytest.fixture
def sequences() -> list[list[int]]:
    """Sequences of unlike length, in no order of length; all start with the beginning-of-sequence token."""
    rng = np.random.default_rng(7)
    return [[0, *rng.integers(2, VOCABULARY, size=n).tolist()] for n in (3, 9, 1, 6, 14, 6)]


@pytest.fixture
def other() -> CausalLM:
    """A second model over the same tokens."""
    return markov(1, seed=9)


WORDS = [
    "<s>",
    "</s>",
    "<pad>",
    "<unk>",
    "the",
    "cat",
    "sat",
    "on",
    "mat",
    "yes",
    "no",
    "answer",
    "is",
    ":",
    "dog",
    "ran",
]


@pytest.fixture(scope="session")
def saved_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with a word tokenizer, saved in Hugging Face format."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    folder = tmp_path_factory.mktemp("models") / "tiny"
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    config = transformers.LlamaConfig(**{**GROUPED, "vocab_size": len(WORDS)})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved_folder: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may break."""
    return Path(shutil.copytree(saved_folder, tmp_path / "tiny"))
