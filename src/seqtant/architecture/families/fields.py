"""Reads one ``config.json`` field by field: defaults, aliases, and one clear line when a value does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqtant.errors import InputError

UNMAPPED = {"n_inner", "ffn_dim", "hidden_dim"}
"""Names for which transformers does not take the common one."""

FORMER = {"n_embed", "ffn_hidden_size"}
"""Former names that transformers still obeys over the common one."""


class Fields:
    """The fields of a ``config.json``, read with the defaults that transformers gives them."""

    def __init__(self, data: Mapping[str, Any], source: str, aliases: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.source = source
        self._aliases = aliases or {}
        self.notes: list[str] = []
        """What had to be assumed; readers add to it."""
        self.whole = True
        """Whether the class that the configuration names is counted, not the same one without its head."""

    def raw(self, name: str, default: Any = None) -> Any:
        """Reads a value as it stands, under the common name or the family's own; null counts as absent."""
        own = self._aliases.get(name, name)
        # Where a file gives both, transformers sets the family's own first and the common one over it, if it maps them.
        for key in (own,) if own in UNMAPPED else (own, name) if own in FORMER else (name, own):
            if self.data.get(key) is not None:
                return self.data[key]
        return default

    def size(self, name: str, default: int) -> int:
        """Reads a whole number of at least 1."""
        value = self.raw(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.error(f"{self.spelled(name)} is {value!r}: it must be a whole number of at least 1")
        return value

    def optional_size(self, name: str) -> int | None:
        """Reads a whole number of at least 1; None where the field is absent or null."""
        return None if self.raw(name) is None else self.size(name, 1)

    def flag(self, name: str, default: bool) -> bool:
        """Reads a truth value."""
        value = self.raw(name, default)
        if not isinstance(value, bool):
            raise self.error(f"{self.spelled(name)} is {value!r}: it must be true or false")
        return value

    def word(self, name: str, default: str) -> str:
        """Reads a string."""
        value = self.raw(name, default)
        if not isinstance(value, str):
            raise self.error(f"{self.spelled(name)} is {value!r}: it must be a string")
        return value

    def per_layer(self, name: str, default: list[Any], depth: int) -> list[Any]:
        """Reads a list with one entry per layer."""
        value = self.raw(name, default)
        if not isinstance(value, list) or len(value) != depth:
            count = len(value) if isinstance(value, list) else repr(value)
            raise self.error(f"{self.spelled(name)} has {count} entries: it must list one for each of {depth} layers")
        return value

    def heads(self, width: int, default: int, *, must_divide: bool = True) -> int:
        """Reads the number of attention heads, which must divide the width unless a head width is given besides."""
        count = self.size("num_attention_heads", default)
        if must_divide and width % count:
            names = f"{self.spelled('num_attention_heads')} is {count}"
            raise self.error(f"{names}: it must divide {self.spelled('hidden_size')} {width}")
        return count

    def kv_heads(self, heads: int, default: int | None = None, name: str = "num_key_value_heads") -> int:
        """Reads the number of key-value heads, which must divide the heads."""
        count = self.size(name, heads if default is None else default)
        if heads % count:
            raise self.error(f"{self.spelled(name)} is {count}: it must divide the {heads} attention heads")
        return count

    def dtype(self) -> str:
        """Reads the number format of the weights; float32 where the configuration names none."""
        return self.word("dtype", self.word("torch_dtype", "float32")).removeprefix("torch.")

    def counted_class(self, base: str, default: str, *others: str, renamed: Mapping[str, str] | None = None) -> str:
        """Chooses the class of transformers to count, from ``architectures``; a head more or less is millions.

        ``base``, without a head, stands for a class that is not known, and ``default`` for none; a note says so.
        """
        named = self.raw("architectures", [])
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise self.error(f"architectures is {named!r}: it must be a list of class names")
        if not named:
            self.notes.append(f"the configuration names no class: counted as {default}")
            return default
        name = (renamed or {}).get(named[0], named[0])
        if name in (base, default, *others):
            return name
        self.whole = False
        self.notes.append(f"the head of '{name}' is not known here: counted as {base}, without it")
        return base

    def spelled(self, name: str) -> str:
        """Tells how this configuration spells a field."""
        alias = self._aliases.get(name, name)
        return alias if alias in self.data else name if name in self.data else alias

    def error(self, reason: str) -> InputError:
        """Makes an input error that names the file."""
        return InputError(f"{self.source}: {reason}")
