"""Networks that learn GINC, GPT-2 and Llama of transformers and an LSTM of our own, and their training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqtant.data.tokens import TokenWindows
from seqtant.errors import InputError
from seqtant.icl.config import GincNetwork
from seqtant.icl.ginc.dataset import DELIMITER, Ginc, sample_documents
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import CausalLM, Keep, LMOutput, kept_positions
from seqtant.runs.recorder import Context
from seqtant.sources import ModelSource, is_path
from seqtant.training import TrainingConfig, TrainingHistory, train

CORPUS_LENGTH = 10240
"""Symbols of a document of the fixed corpus, as published."""
TRAINING_SEED, CORPUS_SEED, VALIDATION_SEED, PROMPT_SEED = range(4)
"""Last part of the seed of each use of randomness, so that none repeats the samples of another."""
_LSTM_FILES = ("lstm.json", "model.safetensors")


class RecurrentNetwork(nn.Module):
    """An LSTM over symbols with an output layer of its own."""

    def __init__(self, vocabulary: int, layers: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = {"vocabulary": vocabulary, "layers": layers, "width": width, "dropout": dropout}
        self.embedding = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, input_ids: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time vocabulary"]:
        """Computes the logits of the next symbol."""
        return self.head(self.lstm(self.embedding(input_ids))[0])


class RecurrentLM(CausalLM):
    """An LSTM behind the common interface; its cache is its state."""

    def __init__(self, network: RecurrentNetwork, *, bos_id: int | None, name: str = "lstm") -> None:
        self.network = network.eval().requires_grad_(False)
        self.name, self.bos_id = name, bos_id
        self.vocabulary_size = int(network.shape["vocabulary"])
        self.device = network.head.weight.device

    def forward(
        self,
        input_ids: Int[Tensor, "batch time"],
        attention_mask: Int[Tensor, "batch time"] | None = None,
        *,
        cache: tuple[Tensor, Tensor] | None = None,
        keep: Keep = None,
        use_cache: bool = False,
    ) -> LMOutput:
        """See :meth:`CausalLM.forward`."""
        batch, time = input_ids.shape
        size = (int(self.network.shape["layers"]), batch, int(self.network.shape["width"]))
        state = cache or (self.network.head.weight.new_zeros(size), self.network.head.weight.new_zeros(size))
        embedded = self.network.embedding(input_ids)
        if attention_mask is None or bool(attention_mask.all()):
            hidden, state = self.network.lstm(embedded, state)
        else:
            # Step by step, so that the state of a row does not change on its padding.
            outputs = []
            for step in range(time):
                output, after = self.network.lstm(embedded[:, step : step + 1], state)
                real = attention_mask[None, :, step, None] != 0  # [1, batch, 1]; states: [layers, batch, width]
                # Both parts of the state are kept on padding: the cell (1) as well as what is shown (0).
                state = (torch.where(real, after[0], state[0]), torch.where(real, after[1], state[1]))
                outputs.append(output)
            hidden = torch.cat(outputs, dim=1)
        logits = self.network.head(hidden[:, kept_positions(keep, time, input_ids.device)])
        return LMOutput(logits, state if use_cache else None)

    def select_rows(self, cache: tuple[Tensor, Tensor], rows: Int[Tensor, " selected"]) -> tuple[Tensor, Tensor]:
        """See :meth:`CausalLM.select_rows`."""
        return cache[0][:, rows], cache[1][:, rows]


def build_network(shape: GincNetwork, vocabulary: int, context: int, *, bos: bool, seed: int) -> nn.Module:
    """Builds a fresh network over the symbols and, after them, a beginning-of-sequence token.

    The global random state is left as it was.
    """
    size = vocabulary + bos
    # GPT-2's usual 0.02 suits its width of 768; narrow layers need more, or attention stays uniform for long.
    common: dict[str, Any] = {
        "vocab_size": size,
        "bos_token_id": vocabulary if bos else None,
        "eos_token_id": None,
        "pad_token_id": None,
        "initializer_range": max(0.02, shape.width**-0.5 if shape.width < 512 else 0.02),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if shape.name == "lstm":
            return RecurrentNetwork(size, shape.layers, shape.width, shape.dropout)
        from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

        if shape.name == "gpt2":
            drops: dict[str, Any] = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), shape.dropout)
            sizes = {"n_embd": shape.width, "n_layer": shape.layers, "n_head": shape.heads, "n_positions": context}
            return GPT2LMHeadModel(GPT2Config(**sizes, **drops, **common))
        config = LlamaConfig(
            hidden_size=shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            # A gated network has three matrices, not two: a factor 8/3 gives the parameters of the usual 4.
            intermediate_size=8 * shape.width // 3,
            max_position_embeddings=context,
            attention_dropout=shape.dropout,
            **common,
        )
        return LlamaForCausalLM(config)


def wrap_network(network: nn.Module, *, bos_id: int | None, name: str) -> CausalLM:
    """Wraps a trained network in the common interface."""
    if isinstance(network, RecurrentNetwork):
        return RecurrentLM(network, bos_id=bos_id, name=name)
    whole: Any = network
    return HuggingFaceLM(whole, name=name)


def save_network(network: nn.Module, folder: Path, names: tuple[str, ...], *, bos: bool, context: int) -> None:
    """Writes a folder that :func:`load_network`, and for transformers any other program, reads."""
    if isinstance(network, RecurrentNetwork):
        from safetensors.torch import save

        from seqtant.runs.files import whole_file, write_text

        note, weights = (folder / name for name in _LSTM_FILES)
        with whole_file(weights) as temporary:
            temporary.write_bytes(save({k: v.contiguous().cpu() for k, v in network.state_dict().items()}))
        write_text(note, json.dumps({**network.shape, "bos_id": len(names) if bos else None}) + "\n")
        return
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    whole: Any = network
    whole.save_pretrained(folder, safe_serialization=True)
    # Words separated by spaces, one symbol each, so that plain transformers reads GINC as text.
    ids = {name: number for number, name in enumerate([*names, "<s>"] if bos else names)}
    words = Tokenizer(models.WordLevel(ids, unk_token=names[0]))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    special = {"bos_token": "<s>"} if bos else {}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=context, **special)
    tokenizer.save_pretrained(folder)


def load_network(model: ModelSource, *, device: str) -> CausalLM:
    """Loads a trained network: an LSTM's folder, anything that transformers reads, or a model in memory."""
    from seqtant.lm.loading import load, pick_device

    if not is_path(model):
        return load(model, tokenizer=False)
    note, weights = (Path(model) / name for name in _LSTM_FILES)
    if not note.is_file():
        return load(model, device=device, tokenizer=False)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        shape = json.loads(note.read_text(encoding="utf-8"))
        bos_id = shape.pop("bos_id")
        network = RecurrentNetwork(**shape)
        network.load_state_dict(load_file(weights))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"'{model}' holds a broken LSTM: {str(error).splitlines()[0]}") from error
    return RecurrentLM(network.to(pick_device(device)), bos_id=bos_id, name=Path(model).name)


class FreshDocuments:
    """Samples every batch anew from its step: beginnings of documents after a beginning-of-sequence token."""

    def __init__(self, ginc: Ginc, *, rows: int, length: int, seed: int) -> None:
        self.ginc, self.rows, self.length, self.seed = ginc, rows, length, seed
        self.fingerprint = f"ginc {ginc.settings} length {length} rows {rows} seed {seed}"

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """Samples the rows of one step, under ``input_ids``."""
        generator = np.random.default_rng([self.seed, TRAINING_SEED, step])
        tokens = sample_documents(self.ginc, self.rows, self.length - 1, generator).tokens
        # The beginning-of-sequence token is the id after the last symbol.
        start = np.full((self.rows, 1), self.ginc.settings.vocabulary)
        return {"input_ids": torch.from_numpy(np.concatenate([start, tokens], axis=1))}


def make_batches(ginc: Ginc, *, rows: int, length: int, seed: int, documents: int = 0) -> FreshDocuments | TokenWindows:
    """Makes the training batches: fresh documents, or windows of a fixed corpus of ``documents`` as published."""
    if not documents:
        return FreshDocuments(ginc, rows=rows, length=length, seed=seed)
    generator = np.random.default_rng([seed, CORPUS_SEED])
    tokens = sample_documents(ginc, documents, CORPUS_LENGTH, generator).tokens
    # Documents are joined by one delimiter each.
    joined = np.pad(tokens, ((0, 0), (0, 1)), constant_values=DELIMITER).ravel().astype(np.int64)
    name = f"ginc {ginc.settings} documents {documents} seed {seed}"
    return TokenWindows(joined, length=length, rows=rows, seed=seed, name=name)


def train_network(
    shape: GincNetwork,
    ginc: Ginc,
    training: TrainingConfig,
    *,
    length: int,
    rows: int,
    documents: int = 0,
    context: Context,
) -> tuple[nn.Module, TrainingHistory]:
    """Trains a network; run again with the same folder, it resumes from its last checkpoint.

    Rows hold ``length`` tokens, which is the network's context length too.
    """
    # Windows of a fixed corpus begin anywhere in it: only fresh documents begin with a token of their own.
    network = build_network(shape, ginc.settings.vocabulary, length, bos=not documents, seed=context.seed)
    batches = make_batches(ginc, rows=rows, length=length, seed=context.seed, documents=documents)
    folder = None if context.folder is None else context.folder / "checkpoints"
    return network, train(network, batches, training, context=replace(context, folder=folder))
