"""The networks that learn GINC: GPT-2 and Llama by transformers, an LSTM of our own, all behind one interface."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.icl.config import GincNetwork
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import CausalLM, Keep, LMOutput, kept_positions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_LSTM_FILES = ("lstm.json", "model.safetensors")


class RecurrentNetwork(nn.Module):
    """An LSTM over symbols with an output layer of its own.

    Args:
        vocabulary: Number of ids.
        layers: Number of layers.
        width: Width of embedding and state.
        dropout: Dropout between layers.
    """

    def __init__(self, vocabulary: int, layers: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = {"vocabulary": vocabulary, "layers": layers, "width": width, "dropout": dropout}
        self.embedding = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, input_ids: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time vocabulary"]:
        """Logits of the next symbol."""
        return self.head(self.lstm(self.embedding(input_ids))[0])


class RecurrentLM(CausalLM):
    """An LSTM behind the common interface; its cache is its state.

    Args:
        network: The trained network.
        bos_id: Beginning-of-sequence token, or None.
        name: What reports call it.
    """

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
            hidden, state = self._masked(embedded, attention_mask != 0, state)
        logits = self.network.head(hidden[:, kept_positions(keep, time, input_ids.device)])
        return LMOutput(logits, state if use_cache else None)

    def _masked(
        self, embedded: Tensor, real: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Step by step, the state of a row standing still on its padding."""
        outputs = []
        for step in range(embedded.shape[1]):
            output, after = self.network.lstm(embedded[:, step : step + 1], state)
            moves = real[None, :, step, None]
            state = (torch.where(moves, after[0], state[0]), torch.where(moves, after[1], state[1]))
            outputs.append(output)
        return torch.cat(outputs, dim=1), state

    def select_rows(self, cache: tuple[Tensor, Tensor], rows: Int[Tensor, " selected"]) -> tuple[Tensor, Tensor]:
        """See :meth:`CausalLM.select_rows`."""
        return cache[0][:, rows], cache[1][:, rows]


def build_network(shape: GincNetwork, vocabulary: int, context: int, *, bos: bool, seed: int) -> nn.Module:
    """A fresh network over the symbols and, after them, a beginning-of-sequence token; random state is left alone."""
    size = vocabulary + bos
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if shape.name == "lstm":
            return RecurrentNetwork(size, shape.layers, shape.width, shape.dropout)
        return _transformer(shape, size, context, vocabulary if bos else None)


def _transformer(shape: GincNetwork, size: int, context: int, bos_id: int | None) -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    # GPT-2's usual 0.02 suits its width of 768; narrow layers need more, or attention stays uniform for long.
    ids: dict[str, Any] = {"vocab_size": size, "bos_token_id": bos_id, "eos_token_id": None, "pad_token_id": None}
    spread: dict[str, Any] = {"initializer_range": max(0.02, shape.width**-0.5 if shape.width < 512 else 0.02)}
    if shape.name == "gpt2":
        drops: dict[str, Any] = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), shape.dropout)
        sizes: dict[str, Any] = {
            "n_embd": shape.width,
            "n_layer": shape.layers,
            "n_head": shape.heads,
            "n_positions": context,
        }
        return GPT2LMHeadModel(GPT2Config(**sizes, **drops, **ids, **spread))
    shapes: dict[str, Any] = {
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "intermediate_size": 8 * shape.width // 3,
        "max_position_embeddings": context,
        "attention_dropout": shape.dropout,
    }
    return LlamaForCausalLM(LlamaConfig(**shapes, **ids, **spread))


def tokenizer_of(names: tuple[str, ...], *, bos: bool, context: int) -> PreTrainedTokenizerFast:
    """Words separated by spaces, one symbol each, so that plain transformers reads GINC as text."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ids = {name: number for number, name in enumerate([*names, "<s>"] if bos else names)}
    words = Tokenizer(models.WordLevel(ids, unk_token=names[0]))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    special = {"bos_token": "<s>"} if bos else {}
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=context, **special)


def wrap(network: nn.Module, *, bos_id: int | None, name: str) -> CausalLM:
    """A trained network behind the common interface."""
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
    whole: Any = network
    whole.save_pretrained(folder, safe_serialization=True)
    tokenizer_of(names, bos=bos, context=context).save_pretrained(folder)


def load_network(folder: str, *, device: str) -> CausalLM:
    """Loads a trained network: an LSTM's folder, or anything that transformers reads.

    Raises:
        InputError: The folder cannot be read.
    """
    from seqtant.lm.loading import load, pick_device

    note, weights = (Path(folder) / name for name in _LSTM_FILES)
    if not note.is_file():
        return load(folder, device=device, tokenizer=False)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        shape = json.loads(note.read_text(encoding="utf-8"))
        bos_id = shape.pop("bos_id")
        network = RecurrentNetwork(**shape)
        network.load_state_dict(load_file(weights))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"'{folder}' holds a broken LSTM: {str(error).splitlines()[0]}") from error
    return RecurrentLM(network.to(pick_device(device)), bos_id=bos_id, name=Path(folder).name)
