"""A Hugging Face decoder behind the common interface: positions that survive padding, caches that are values.

Not every family can go on from a cache with several tokens, or reads padding as nothing: :mod:`seqtant.lm.probe`
finds out. Where one cannot, what came before is read again, without padding, which is right for every causal model.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM, Keep, LMOutput, kept_positions

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


CACHE_NAMES = ("past_key_values", "cache_params", "state")
"""What families call the cache that they take and return."""


@dataclass(frozen=True)
class Abilities:
    """What a network was found to do as it should, see :func:`seqtant.lm.probe.probe`."""

    steps: bool = True
    """Going on from a cache with one token at a time."""
    pieces: bool = True
    """Going on from a cache with several tokens, and with copies of its rows."""
    padding: bool = True
    """Reading rows that are padded on the left."""
    branches: bool = False
    """Reading several continuations of one text in one row, under a mask that keeps them apart."""

    @property
    def prefixes(self) -> bool:
        """Going on from a batch of beginnings of unlike length, each read once."""
        return self.pieces and self.padding


@dataclass(frozen=True)
class HuggingFaceCache:
    """Keys and values of the tokens read so far, and which of those tokens are real."""

    past: Any
    """A cache in the family's own form, never changed once it is here; None where what came before is read again."""
    ids: Int[Tensor, "batch past"]
    """All tokens read so far, padding included."""
    lengths: Int[Tensor, " batch"]
    """Real tokens read so far, per row."""
    mask: Int[Tensor, "batch past"] | None
    """1 for real tokens; None when all are real."""

    @property
    def time(self) -> int:
        """Tokens read so far, padding included."""
        return self.ids.shape[1]


class HuggingFaceLM(CausalLM):
    """A ``transformers`` causal language model in evaluation mode with frozen weights.

    Args:
        model: Any model with a language-model head, e.g. ``LlamaForCausalLM``.
        tokenizer: Its tokenizer; None for models over ids only.
        name: What reports call it; by default where it was loaded from.

    The module itself stays reachable as ``model`` for hooks and Jacobian-vector products. Weights are frozen, so no
    graph is built, yet gradients flow to whatever a hook adds that asks for them.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None = None, *, name: str | None = None
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name or str(model.config.name_or_path or type(model).__name__)
        config = model.config.get_text_config(decoder=True)
        self.vocabulary_size = int(config.vocab_size)
        fields = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
        lengths = [getattr(config, field, None) for field in fields]
        self.context_length = next((length for length in lengths if isinstance(length, int) and length > 0), None)
        self.bos_id = _special_id("bos", config, tokenizer)
        self.eos_id = _special_id("eos", config, tokenizer)
        pad_id = _special_id("pad", config, tokenizer)
        self.pad_id = pad_id if pad_id is not None and 0 <= pad_id < self.vocabulary_size else 0
        self.device = device_of(model)
        parameters = inspect.signature(model.forward).parameters
        self.takes_positions = "position_ids" in parameters
        self._takes_keep = "logits_to_keep" in parameters
        self.cache_name = next((name for name in CACHE_NAMES if name in parameters), "past_key_values")
        self.abilities = Abilities()
        self._decoder: tuple[nn.Module, nn.Module, nn.ModuleList] | None = None

    def with_network(self, network: Any, *, name: str = "") -> HuggingFaceLM:
        """Wraps another network of the same family, such as a trained copy, which reads tokens in the same ways."""
        other = HuggingFaceLM(network, self.tokenizer, name=name or self.name)
        other.abilities = self.abilities
        return other

    @property
    def decoder(self) -> tuple[nn.Module, nn.ModuleList]:
        """The module that runs the decoder blocks, and the blocks; looked for once.

        Raises:
            InputError: No list of blocks of the configured depth is found.
        """
        # Not for another network that was put into the place of the first.
        if self._decoder is None or self._decoder[0] is not self.model:
            self._decoder = (self.model, *find_decoder(self.model))
        return self._decoder[1:]

    def forward(
        self,
        input_ids: Int[Tensor, "batch time"],
        attention_mask: Int[Tensor, "batch time"] | None = None,
        *,
        cache: HuggingFaceCache | None = None,
        keep: Keep = None,
        use_cache: bool = False,
    ) -> LMOutput:
        """See :meth:`CausalLM.forward`; the logits are float32, or float64 for a float64 model."""
        remembers = use_cache and self.abilities.steps
        kept = None if keep is None else kept_positions(keep, input_ids.shape[1], input_ids.device)
        if self._must_read_again(input_ids, attention_mask, cache):
            # The same output, from all tokens since the first.
            mask = joint_mask(cache, attention_mask, input_ids)
            ids, places = _unpadded(input_ids, mask, cache)
            places = places if kept is None else places[:, kept]
            # Padding needs its own cache layout in families that cannot read it, so that such rows start anew each
            # time.
            remembers = remembers and mask is None
            columns = places.unique()
            arguments = self._arguments(ids, None, None) | {"use_cache": remembers}
            if self._takes_keep:
                arguments["logits_to_keep"] = columns
            output = self.model(**arguments)
            logits = output.logits if self._takes_keep else output.logits[:, columns]  # [batch, columns, vocabulary]
            rows = torch.arange(ids.shape[0], device=ids.device)[:, None]
            # Unpadded rows keep different columns: logits are made for the union of them, then picked per row.
            logits = _single(logits[rows, torch.searchsorted(columns, places)])
        else:
            arguments = self._arguments(input_ids, attention_mask, cache) | {"use_cache": remembers}
            if kept is not None and self._takes_keep:
                arguments["logits_to_keep"] = keep if isinstance(keep, int) else kept
            output = self.model(**arguments)
            logits = _single(output.logits if kept is None or self._takes_keep else output.logits[:, kept])
        if not use_cache:
            return LMOutput(logits)
        past = getattr(output, self.cache_name) if remembers else None
        return LMOutput(logits, self._lengthened(cache, input_ids, attention_mask, past))

    def _must_read_again(
        self, input_ids: Tensor, attention_mask: Tensor | None, cache: HuggingFaceCache | None
    ) -> bool:
        """Whether the family would get these tokens wrong as they are."""
        if cache is not None and (cache.past is None or (input_ids.shape[1] > 1 and not self.abilities.pieces)):
            return True
        return not self.abilities.padding and joint_mask(cache, attention_mask, input_ids) is not None

    def hidden(
        self, input_ids: Int[Tensor, "batch time"], *, cache: HuggingFaceCache | None = None
    ) -> Float[Tensor, "batch time width"] | None:
        """See :meth:`CausalLM.hidden`."""
        try:
            _ = self.decoder
        except InputError:
            return None
        return self.final_states(input_ids, cache=cache)

    def final_states(
        self,
        input_ids: Int[Tensor, "batch time"],
        attention_mask: Int[Tensor, "batch time"] | None = None,
        *,
        cache: HuggingFaceCache | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """What the decoder hands to the head, after its final norm; arguments as for :meth:`forward`."""
        if not self._must_read_again(input_ids, attention_mask, cache):
            return self._decoded(input_ids, attention_mask, cache, use_cache=cache is not None)[0]
        ids, places = _unpadded(input_ids, joint_mask(cache, attention_mask, input_ids), cache)
        states = self._decoded(ids, None, None, use_cache=False)[0]
        return states[torch.arange(ids.shape[0], device=ids.device)[:, None], places]

    def read(
        self, input_ids: Int[Tensor, "batch time"], attention_mask: Int[Tensor, "batch time"] | None = None
    ) -> HuggingFaceCache:
        """Keys and values of some tokens, without any logits; arguments as for :meth:`forward`."""
        past = getattr(self._decoded(input_ids, attention_mask, None, use_cache=True), self.cache_name)
        return self._lengthened(None, input_ids, attention_mask, past)

    def _decoded(
        self, input_ids: Tensor, attention_mask: Tensor | None, cache: HuggingFaceCache | None, *, use_cache: bool
    ) -> Any:
        """The decoder's output in the family's own form; the head is not run."""
        decoder, _ = self.decoder
        found: list[Any] = []

        def stop(_module: nn.Module, _inputs: Any, output: Any) -> None:
            found.append(output)
            raise ReachedError

        hook = decoder.register_forward_hook(stop)
        try:
            with uncompiled():
                self.model(**self._arguments(input_ids, attention_mask, cache), use_cache=use_cache)
        except ReachedError:
            return found[0]
        finally:
            hook.remove()
        raise InputError(f"{type(self.model).__name__} never ran its decoder: this family is not known")

    @staticmethod
    def _lengthened(
        cache: HuggingFaceCache | None, input_ids: Tensor, attention_mask: Tensor | None, past: Any
    ) -> HuggingFaceCache:
        """The cache after some more tokens."""
        batch, time = input_ids.shape
        read = input_ids.new_full((batch,), time) if attention_mask is None else attention_mask.sum(dim=1)
        mask = joint_mask(cache, attention_mask, input_ids)
        if cache is None:
            return HuggingFaceCache(past, input_ids, read, mask)
        return HuggingFaceCache(past, torch.cat([cache.ids, input_ids], dim=1), cache.lengths + read, mask)

    def head(self, hidden: Float[Tensor, "positions width"]) -> Float[Tensor, "positions vocabulary"]:
        """See :meth:`CausalLM.head`: all that the network does after its decoder, such as capping or scaling logits."""
        decoder, _ = self.decoder
        ids = torch.zeros(1, hidden.shape[0], dtype=torch.long, device=hidden.device)
        # With the decoder replaced, only what follows it runs: the head, with the family's own caps and scales.
        with replaced(decoder, lambda *_inputs, **_named: _DecoderOutput(hidden[None])):
            logits = self.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
        return _single(logits[0])

    def _arguments(
        self, input_ids: Tensor, attention_mask: Tensor | None, cache: HuggingFaceCache | None
    ) -> dict[str, Any]:
        mask = joint_mask(cache, attention_mask, input_ids)
        if mask is None:
            past = 0 if cache is None else cache.time
            mask = input_ids.new_ones(1, 1).expand(input_ids.shape[0], past + input_ids.shape[1])
        arguments: dict[str, Any] = {"input_ids": input_ids, "attention_mask": mask}
        if cache is not None:
            arguments[self.cache_name] = _mapped(cache.past, Tensor.clone, keep=only_grows)
        # Positions count the real tokens of each row; without cache and padding counting from 0 is right as it is.
        if self.takes_positions and (cache is not None or attention_mask is not None):
            ones = torch.ones_like(input_ids) if attention_mask is None else attention_mask.to(input_ids.dtype)
            counted = ones.cumsum(dim=1) - 1
            if cache is not None:
                counted = counted + cache.lengths[:, None]
            # Padding would get position -1, which an embedding table cannot look up; its output is never read.
            arguments["position_ids"] = counted.clamp(min=0)
        return arguments

    def read_branches(
        self, cache: HuggingFaceCache, lines: Sequence[Sequence[int]]
    ) -> tuple[Float[Tensor, "nodes vocabulary"], list[list[int]]]:
        """Computes the logits of several continuations of one cached row, and of each line which of them are its own.

        All lines are packed into one row, as a tree: what lines begin with in common is read once. A token sees the
        cached text and the path that leads to it, so that nothing of the cache is copied however many lines there are:
        see :attr:`Abilities.branches`.
        """
        node_of: dict[tuple[int, int], int] = {}  # (node before, token) -> node
        paths: list[list[int]] = []
        for line in lines:
            paths.append([])
            for token in line:
                before = paths[-1][-1] if paths[-1] else -1
                paths[-1].append(node_of.setdefault((before, token), len(node_of)))
        own = np.eye(len(node_of), dtype=bool)  # [nodes, nodes]
        place = np.zeros(len(node_of), dtype=np.int64)
        # A node comes after the one before it, whose row is complete by then.
        for (before, _), node in node_of.items():
            if before >= 0:
                own[node] |= own[before]
                place[node] = place[before] + 1
        ids = torch.tensor([token for _, token in node_of], device=self.device)
        text = np.ones((len(ids), cache.time), dtype=bool)
        seen = torch.from_numpy(np.concatenate([text, own], axis=1)).to(self.device)
        # Added to the scores of attention: half-precision networks take -inf, too, since every row sees something.
        mask = torch.zeros(seen.shape, dtype=next(self.model.parameters()).dtype, device=self.device)
        mask = mask.masked_fill(~seen, torch.finfo(mask.dtype).min)
        arguments = {
            "input_ids": ids[None],
            "attention_mask": mask[None, None],
            "position_ids": (cache.lengths + torch.from_numpy(place).to(self.device))[None],
            self.cache_name: _mapped(cache.past, Tensor.clone, keep=only_grows),
        }
        return _single(self.model(**arguments, use_cache=True).logits[0]), paths

    def select_rows(self, cache: HuggingFaceCache, rows: Int[Tensor, " selected"]) -> HuggingFaceCache:
        """See :meth:`CausalLM.select_rows`."""
        batch = cache.ids.shape[0]
        # Tensors of a cache that have no batch axis, such as counters, are shared as they are.
        past = _mapped(cache.past, lambda states: states[rows] if states.ndim and len(states) == batch else states)
        mask = None if cache.mask is None else cache.mask[rows]
        return HuggingFaceCache(past, cache.ids[rows], cache.lengths[rows], mask)


class _DecoderOutput:
    """Stands for a decoder's output of any family: the states under their name and as the first item, nothing else."""

    def __init__(self, states: Tensor) -> None:
        self.last_hidden_state = states

    def __getitem__(self, index: Any) -> Any:
        return (self.last_hidden_state,)[index]

    def __getattr__(self, name: str) -> None:
        return None


def _single(logits: Tensor) -> Tensor:
    """Half-precision logits as float32: sums over the vocabulary need it."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def joint_mask(
    cache: HuggingFaceCache | None, attention_mask: Tensor | None, input_ids: Tensor
) -> Int[Tensor, "batch past_and_time"] | None:
    """The mask over cached and new tokens; None if all are real."""
    past = None if cache is None else cache.mask
    if past is None and attention_mask is None:
        return None
    batch, time = input_ids.shape
    new = input_ids.new_ones(batch, time) if attention_mask is None else attention_mask.to(input_ids.dtype)
    if cache is None:
        return new
    old = input_ids.new_ones(batch, cache.time) if past is None else past
    return torch.cat([old, new], dim=1)


def _unpadded(
    input_ids: Tensor, mask: Tensor | None, cache: HuggingFaceCache | None
) -> tuple[Int[Tensor, "batch whole"], Int[Tensor, "batch time"]]:
    """All tokens since the first, each row's real ones moved to its beginning, and where the new ones stand there."""
    ids = input_ids if cache is None else torch.cat([cache.ids, input_ids], dim=1)
    if mask is None:
        places = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    else:
        # A stable sort keeps the real tokens in their order; what follows them no causal model sees.
        ids = ids.gather(1, mask.argsort(dim=1, descending=True, stable=True))
        places = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return ids, places[:, -input_ids.shape[1] :]


def only_grows(layer: Any, *, windows: bool = True) -> bool:
    """Whether a layer of a cache holds keys and values alone: they are concatenated to, never written in place."""
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    return type(layer) is DynamicLayer or (windows and type(layer) is DynamicSlidingWindowLayer)


def _mapped(past: Any, change: Callable[[Tensor], Tensor], *, keep: Callable[[Any], bool] = lambda part: False) -> Any:
    """A copy of a cache of any family, with every tensor in it changed; the cache that is given stays as it is.

    Of a part that ``keep`` holds of, the copy has the same tensors.
    """
    if isinstance(past, Tensor):
        return change(past)
    if isinstance(past, list | tuple):
        return type(past)(_mapped(item, change, keep=keep) for item in past)
    if isinstance(past, dict):
        return {key: _mapped(item, change, keep=keep) for key, item in past.items()}
    # What holds states is a class of transformers; its networks and configurations are no states.
    if not type(past).__module__.startswith("transformers.") or hasattr(past, "forward") or hasattr(past, "to_dict"):
        return past
    new = copy.copy(past)
    if not keep(past):
        for name, item in vars(past).items():
            setattr(new, name, _mapped(item, change, keep=keep))
    return new


def _special_id(kind: str, config: Any, tokenizer: Any) -> int | None:
    """The tokenizer's word counts, since it makes the text; the config's is the fallback."""
    for source in (tokenizer, config):
        value = getattr(source, f"{kind}_token_id", None)
        if isinstance(value, list | tuple):
            value = value[0] if value else None
        if value is not None:
            return int(value)
    return None


def device_of(network: nn.Module) -> torch.device:
    """The device that a network takes tokens on."""
    # Weights that Accelerate keeps elsewhere are on "meta" until their module runs; its hook knows where that is.
    place = getattr(getattr(network, "_hf_hook", None), "execution_device", None)
    return next(network.parameters()).device if place is None else torch.device(place)


def read_weight(network: nn.Module, name: str, weight: Tensor) -> Tensor:
    """A weight of a network by its name, read from where Accelerate keeps it if it is not with its module."""
    place, _, own = name.rpartition(".")
    kept = getattr(getattr(network.get_submodule(place), "_hf_hook", None), "weights_map", None)
    return kept[own] if weight.is_meta and kept is not None else weight


def find_decoder(module: nn.Module) -> tuple[nn.Module, nn.ModuleList]:
    """The module that runs the decoder blocks, and the blocks: the outermost list as long as the configured depth."""
    config: Any = module.config
    count = getattr(config.get_text_config(decoder=True), "num_hidden_layers", None)
    level = [module]
    while level:
        # Level by level, since the inside of blocks is most of a network and never looked for.
        for parent in level:
            for item in parent.children():
                if isinstance(item, nn.ModuleList) and len(item) == count:
                    return parent, item
        level = [child for parent in level for child in parent.children()]
    raise InputError(
        f"no list of {count or 'so many'} decoder blocks found in {type(module).__name__}: this family is not known"
    )


class ReachedError(Exception):
    """Ends a forward pass once all that is wanted of it is there."""


def uncompiled() -> AbstractContextManager[Any]:
    """Runs networks under ``torch.compile`` as they were written: compiled code never looks for hooks again."""
    # Where dynamo is not loaded nothing is compiled, and loading it takes a second.
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


@contextmanager
def replaced(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Puts another forward into one module for as long as the context lasts; hooks on the module still fire."""
    before = module.__dict__.get("forward")
    module.forward = forward
    try:
        with uncompiled():
            yield
    finally:
        del module.forward
        if before is not None:
            module.forward = before


def hidden_of(output: Any) -> Float[Tensor, "batch time width"]:
    """The hidden states in a block's output, which is a tensor or begins with them."""
    return output[0] if isinstance(output, tuple | list) else output


def with_hidden(output: Any, states: Tensor) -> Any:
    """A block's output with other hidden states, in the form it came in."""
    if isinstance(output, tuple | list):
        return type(output)((states, *output[1:]))
    return states
