"""Finding the decoder inside any network of the library, and running only a part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from seqtant.errors import InputError


def find_decoder(module: nn.Module) -> tuple[nn.Module, nn.ModuleList]:
    """The module that runs the decoder blocks, and the blocks: the outermost list as long as the configured depth.

    Raises:
        InputError: No such list is found.
    """
    config: Any = module.config
    count = int(config.get_text_config(decoder=True).num_hidden_layers)
    level = [module]
    while level:
        # Level by level, since the inside of blocks is most of a network and never looked for.
        for parent in level:
            for item in parent.children():
                if isinstance(item, nn.ModuleList) and len(item) == count:
                    return parent, item
        level = [child for parent in level for child in parent.children()]
    raise InputError(f"no list of {count} decoder blocks found in {type(module).__name__}: this family is not known")


class ReachedError(Exception):
    """Ends a forward pass once all that is wanted of it is there."""


@contextmanager
def replaced(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Puts another forward into one module for as long as the context lasts; hooks on the module still fire."""
    before = module.__dict__.get("forward")
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if before is not None:
            module.forward = before


def hidden_of(output: Any) -> Float[Tensor, "batch time width"]:
    """The hidden states in a block's output, which is a tensor or a tuple that begins with them."""
    return output[0] if isinstance(output, tuple) else output


def with_hidden(output: Any, states: Tensor) -> Any:
    """A block's output with other hidden states, in the form it came in."""
    return (states, *output[1:]) if isinstance(output, tuple) else states
