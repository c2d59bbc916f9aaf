"""PEFT adapters on one base model: weights held once, and blocks below the first adapted one run once for all sides."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.decoder import replaced, with_hidden
from seqtant.lm.hooks import decoder_blocks
from seqtant.lm.huggingface import HuggingFaceCache, HuggingFaceLM
from seqtant.lm.interface import Keep, LMOutput
from seqtant.lm.layers import BlockStates, run_to_layer
from seqtant.optional import require

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_adapter(folder: str | Path) -> bool:
    """Whether a folder holds a PEFT adapter."""
    return (Path(folder).expanduser() / "adapter_config.json").is_file()


def base_of(folder: str | Path) -> str:
    """The base model that an adapter names.

    Raises:
        InputError: The adapter's configuration is damaged or names none.
    """
    path = Path(folder).expanduser() / "adapter_config.json"
    try:
        name = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"'{path}' is no readable JSON object: copy the adapter again") from error
    if not isinstance(name, str) or not name:
        raise InputError(f"'{path}' names no base model: give an adapter that PEFT saved")
    return name


@contextmanager
def without_foreign_warnings() -> Iterator[None]:
    """Silences what PEFT's calls make transformers say of a property it means to rename: no user can act on it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        yield


class AdaptedBase:
    """A base model with several adapters, of which one or none acts at a time.

    Args:
        base: The base model; its network is given adapters in place.
        adapters: Name -> folder of the adapter.

    Raises:
        InputError: An adapter cannot be read or does not fit the base model.
        MissingExtraError: PEFT is not installed.
    """

    def __init__(self, base: HuggingFaceLM, adapters: Mapping[str, str | Path]) -> None:
        self.base = base
        self._peft: Any = None
        for name, folder in adapters.items():
            self._add(name, Path(folder).expanduser())
        self.first_layer = _first_adapted(self._peft)
        # One batch is remembered; sides are scored block by block in lockstep, so each asks for the same one.
        self._shared: tuple[Tensor, BlockStates] | None = None

    def _add(self, name: str, folder: Path) -> None:
        peft = require("peft", extra="peft")
        if not (folder / "adapter_model.safetensors").is_file():
            raise InputError(f"'{folder}' has no adapter_model.safetensors: give an adapter saved as safetensors")
        try:
            with without_foreign_warnings():
                if self._peft is None:
                    self._peft = peft.PeftModel.from_pretrained(self.base.model, str(folder), adapter_name=name)
                else:
                    self._peft.load_adapter(str(folder), adapter_name=name)
        except (RuntimeError, ValueError, KeyError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"the adapter '{folder}' does not fit '{self.base.name}': {reason}") from error
        self._peft.requires_grad_(False)

    def side(self, name: str | None) -> HuggingFaceLM:
        """The base model with one adapter acting; None is the base model itself."""
        return _Side(self, name)

    @contextmanager
    def acting(self, name: str | None) -> Iterator[None]:
        """Lets one adapter act, or none."""
        if name is None:
            with self._peft.disable_adapter():
                yield
        else:
            self._peft.set_adapter(name)
            self._peft.requires_grad_(False)
            yield

    def below(self, input_ids: Tensor) -> BlockStates:
        """A batch run through the blocks that no adapter changes: once, however many sides ask for it."""
        if self._shared is None or not _same_storage(self._shared[0], input_ids):
            with self.acting(None):
                self._shared = (input_ids, run_to_layer(self.base, self.first_layer - 1, input_ids))
        return self._shared[1]

    @contextmanager
    def whole_pass(self, name: str | None, input_ids: Tensor) -> Iterator[None]:
        """Lets one adapter act in a pass over whole sequences; blocks that no adapter changes are not run again."""
        with ExitStack() as stack:
            if self.first_layer > 0:
                states = self.below(input_ids)
                blocks = decoder_blocks(self.base)
                for block in blocks[: states.layer]:
                    stack.enter_context(replaced(block, lambda hidden, *_, **__: with_hidden(states.output, hidden)))
                stack.enter_context(replaced(blocks[states.layer], lambda *_, **__: states.output))
            stack.enter_context(self.acting(name))
            yield


class _Side(HuggingFaceLM):
    """One side of an adapted base."""

    def __init__(self, owner: AdaptedBase, adapter: str | None) -> None:
        super().__init__(owner.base.model, owner.base.tokenizer, name=adapter or owner.base.name)
        self._owner, self._adapter = owner, adapter

    def forward(
        self,
        input_ids: Int[Tensor, "batch time"],
        attention_mask: Int[Tensor, "batch time"] | None = None,
        *,
        cache: HuggingFaceCache | None = None,
        keep: Keep = None,
        use_cache: bool = False,
    ) -> LMOutput:
        """See :meth:`CausalLM.forward`."""
        whole = cache is None and attention_mask is None and not use_cache
        acting = self._owner.whole_pass(self._adapter, input_ids) if whole else self._owner.acting(self._adapter)
        with acting:
            return super().forward(input_ids, attention_mask, cache=cache, keep=keep, use_cache=use_cache)

    def hidden(self, input_ids: Tensor, *, cache: HuggingFaceCache | None = None) -> Tensor:
        """See :meth:`CausalLM.hidden`."""
        whole = cache is None
        acting = self._owner.whole_pass(self._adapter, input_ids) if whole else self._owner.acting(self._adapter)
        with acting:
            return super().hidden(input_ids, cache=cache)

    def head(self, hidden: Tensor) -> Tensor:
        """See :meth:`CausalLM.head`."""
        with self._owner.acting(self._adapter):
            return super().head(hidden)


def _same_storage(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors are views of the same tokens; holding the first keeps its memory from being used again."""
    return first.data_ptr() == second.data_ptr() and first.shape == second.shape and first.stride() == second.stride()


def _first_adapted(peft_model: Any) -> int:
    """The lowest block that some adapter changes; 0 where anything outside the blocks is changed."""
    numbers: list[int] = []
    for name, _ in peft_model.named_parameters():
        if ".lora_" in name or "adapter" in name:
            match = re.search(r"\.(?:layers|h|blocks|block)\.(\d+)\.", name)
            numbers.append(int(match[1]) if match else 0)
    return min(numbers, default=0)


def adapted(base: HuggingFaceLM, adapters: Mapping[str, str | Path]) -> dict[str | None, HuggingFaceLM]:
    """Every side of a base model and its adapters; None is the base model itself.

    Raises:
        InputError: An adapter cannot be used.
    """
    if not adapters:
        return {None: base}
    with torch.no_grad():
        owner = AdaptedBase(base, adapters)
    return {name: owner.side(name) for name in (None, *adapters)}
