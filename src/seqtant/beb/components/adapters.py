"""PEFT adapters on one base model: one copy of its weights, and one run of the blocks below the first adapted one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.hooks import decoder_blocks
from seqtant.lm.huggingface import HuggingFaceCache, HuggingFaceLM, replaced, with_hidden
from seqtant.lm.interface import Keep, LMOutput
from seqtant.lm.layers import BlockStates, run_to_layer
from seqtant.lm.loading import without_foreign_warnings
from seqtant.optional import require

if TYPE_CHECKING:
    from collections.abc import Iterator


class AdaptedBase:
    """A base model with several adapters, of which one or none acts at a time.

    Raises:
        InputError: An adapter cannot be read or does not fit the base model.
        MissingExtraError: PEFT is not installed.
    """

    def __init__(self, base: HuggingFaceLM, adapters: Mapping[str, str | Path]) -> None:
        self.base = base
        self._peft: Any = None
        for name, source in adapters.items():
            peft, folder = require("peft", extra="peft"), Path(source).expanduser()
            if not (folder / "adapter_model.safetensors").is_file():
                raise InputError(f"'{folder}' has no adapter_model.safetensors: give an adapter saved as safetensors")
            try:
                with without_foreign_warnings():
                    # The first adapter wraps the network, the others are loaded beside it.
                    if self._peft is None:
                        self._peft = peft.PeftModel.from_pretrained(base.model, str(folder), adapter_name=name)
                    else:
                        self._peft.load_adapter(str(folder), adapter_name=name)
            except (RuntimeError, ValueError, KeyError, OSError) as error:
                reason = " ".join(str(error).split())[:200]
                raise InputError(f"the adapter '{folder}' does not fit '{base.name}': {reason}") from error
            self._peft.requires_grad_(False)
        # The lowest block that some adapter changes; 0 where anything outside the blocks is changed.
        numbers: list[int] = []
        for name, _ in self._peft.named_parameters():
            if ".lora_" in name or "adapter" in name:
                # Names of blocks in the families: model.layers.3, transformer.h.3, blocks.3, block.3.
                match = re.search(r"\.(?:layers|h|blocks|block)\.(\d+)\.", name)
                numbers.append(int(match[1]) if match else 0)
        self.first_layer = min(numbers, default=0)
        # One batch is remembered: models are scored block by block in lockstep, so each asks for the same one.
        self._shared: tuple[Tensor, BlockStates] | None = None

    @contextmanager
    def acting(self, name: str | None) -> Iterator[None]:
        """Lets one adapter act, or none."""
        # Without an adapter the base model itself acts; its weights were never changed.
        if name is None:
            with self._peft.disable_adapter():
                yield
        else:
            # Choosing an adapter turns its gradients on again.
            self._peft.set_adapter(name)
            self._peft.requires_grad_(False)
            yield

    @contextmanager
    def whole_pass(self, name: str | None, input_ids: Tensor) -> Iterator[None]:
        """Lets one adapter act in a pass over whole sequences; blocks that no adapter changes are not run again."""
        with ExitStack() as stack:
            if self.first_layer > 0:
                known = None if self._shared is None else self._shared[0]
                # The same view of the same tokens; holding the tensor keeps its memory from being used again.
                if known is None or (known.data_ptr(), known.shape, known.stride()) != (
                    input_ids.data_ptr(),
                    input_ids.shape,
                    input_ids.stride(),
                ):
                    with self.acting(None):
                        # Below the first adapted block all adapters compute the base model's states.
                        self._shared = (input_ids, run_to_layer(self.base, self.first_layer - 1, input_ids))
                assert self._shared is not None
                states, blocks = self._shared[1], decoder_blocks(self.base)
                # Blocks below pass their input through; the last of them puts out what was remembered.
                for block in blocks[: states.layer]:
                    stack.enter_context(replaced(block, lambda hidden, *_, **__: with_hidden(states.output, hidden)))
                stack.enter_context(replaced(blocks[states.layer], lambda *_, **__: states.output))
            stack.enter_context(self.acting(name))
            yield


class _AdaptedLM(HuggingFaceLM):
    """An adapted base with one adapter acting."""

    def __init__(self, owner: AdaptedBase, adapter: str | None) -> None:
        super().__init__(owner.base.model, owner.base.tokenizer, name=adapter or owner.base.name)
        self.abilities = owner.base.abilities
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
        # A cache, or padding, makes another input of the same blocks: only plain passes share them.
        whole = cache is None and attention_mask is None and not use_cache
        acting = self._owner.whole_pass(self._adapter, input_ids) if whole else self._owner.acting(self._adapter)
        with acting:
            return super().forward(input_ids, attention_mask, cache=cache, keep=keep, use_cache=use_cache)

    def hidden(self, input_ids: Tensor, *, cache: HuggingFaceCache | None = None) -> Tensor | None:
        """See :meth:`CausalLM.hidden`."""
        whole = cache is None
        acting = self._owner.whole_pass(self._adapter, input_ids) if whole else self._owner.acting(self._adapter)
        with acting:
            return super().hidden(input_ids, cache=cache)

    def head(self, hidden: Tensor) -> Tensor:
        """See :meth:`CausalLM.head`."""
        with self._owner.acting(self._adapter):
            return super().head(hidden)


def adapted(base: HuggingFaceLM, adapters: Mapping[str, str | Path]) -> dict[str | None, HuggingFaceLM]:
    """Opens a base model with each of its adapters; None is the base model itself.

    Raises:
        InputError: An adapter cannot be used.
    """
    if not adapters:
        return {None: base}
    with torch.no_grad():
        owner = AdaptedBase(base, adapters)
    return {name: _AdaptedLM(owner, name) for name in (None, *adapters)}
