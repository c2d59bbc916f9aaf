"""Reading one configuration file field by field: defaults, aliases, and one clear line when a value cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqtant.errors import InputError


class Fields:
    """The fields of a ``config.json``, read with the defaults that transformers gives them.

    Args:
        data: The parsed JSON object.
        source: What to call it in messages.
        aliases: Other names of a field, e.g. ``{"hidden_size": "n_embd"}``.

    Example:
        >>> fields = Fields({"n_embd": 64}, "config.json", {"hidden_size": "n_embd"})
        >>> fields.size("hidden_size", 768), fields.size("num_hidden_layers", 12)
        (64, 12)
    """

    def __init__(self, data: Mapping[str, Any], source: str, aliases: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.source = source
        self._aliases = aliases or {}
        self.notes: list[str] = []

    def raw(self, name: str, default: Any = None) -> Any:
        """The value as it stands under the field's own name or its alias; null counts as absent."""
        for key in (self._aliases.get(name, name), name):
            if self.data.get(key) is not None:
                return self.data[key]
        return default

    def size(self, name: str, default: int) -> int:
        """A whole number of at least 1.

        Raises:
            InputError: It is no such number.
        """
        value = self.raw(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.error(f"{self.spelled(name)} is {value!r}: it must be a whole number of at least 1")
        return value

    def optional_size(self, name: str) -> int | None:
        """A whole number of at least 1, or None where the field is absent or null."""
        return None if self.raw(name) is None else self.size(name, 1)

    def flag(self, name: str, default: bool) -> bool:
        """A truth value.

        Raises:
            InputError: It is no truth value.
        """
        value = self.raw(name, default)
        if not isinstance(value, bool):
            raise self.error(f"{self.spelled(name)} is {value!r}: it must be true or false")
        return value

    def word(self, name: str, default: str) -> str:
        """A string.

        Raises:
            InputError: It is none.
        """
        value = self.raw(name, default)
        if not isinstance(value, str):
            raise self.error(f"{self.spelled(name)} is {value!r}: it must be a string")
        return value

    def kinds(self, name: str, default: list[Any], length: int) -> list[Any]:
        """A list with one entry per layer.

        Raises:
            InputError: It has another length.
        """
        value = self.raw(name, default)
        if not isinstance(value, list) or len(value) != length:
            count = len(value) if isinstance(value, list) else repr(value)
            raise self.error(f"{self.spelled(name)} has {count} entries: it must list one for each of {length} layers")
        return value

    def heads(self, width: int, default: int, *, must_divide: bool = True) -> int:
        """Attention heads, which must divide the width unless a head width is given besides.

        Raises:
            InputError: They do not.
        """
        count = self.size("num_attention_heads", default)
        if must_divide and width % count:
            names = f"{self.spelled('num_attention_heads')} is {count}"
            raise self.error(f"{names}: it must divide {self.spelled('hidden_size')} {width}")
        return count

    def kv_heads(self, heads: int, default: int | None = None, name: str = "num_key_value_heads") -> int:
        """Key-value heads, which must divide the heads.

        Raises:
            InputError: They do not.
        """
        count = self.size(name, heads if default is None else default)
        if heads % count:
            raise self.error(f"{self.spelled(name)} is {count}: it must divide the {heads} attention heads")
        return count

    def labels(self) -> int:
        """Classes of a classification head: as many as ``id2label`` names, or ``num_labels``, or 2."""
        names = self.raw("id2label")
        return len(names) if isinstance(names, dict) and names else self.size("num_labels", 2)

    def number_format(self) -> str:
        """The number format of the weights; float32 where the configuration names none."""
        return self.word("dtype", self.word("torch_dtype", "float32")).removeprefix("torch.")

    def spelled(self, name: str) -> str:
        """How this configuration spells a field."""
        alias = self._aliases.get(name, name)
        return alias if alias in self.data else name if name in self.data else alias

    def error(self, reason: str) -> InputError:
        """An input error that names the file."""
        return InputError(f"{self.source}: {reason}")
