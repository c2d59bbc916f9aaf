"""One registry for everything users may add: scorers, CTC properties, Hamiltonians, embedders, tasks.

A registry maps a name to an object or to a lazy string ``"module:attribute"`` that is imported on first use, and
also finds what installed packages offer under its entry-point group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast

from seqtant.errors import InputError, suggest

T = TypeVar("T")


def import_attribute(target: str) -> Any:
    """Imports ``"package.module:attribute"``.

    Example:
        >>> import_attribute("math:sqrt")(9.0)
        3.0
    """
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


class Registry(Generic[T]):
    """Named things of one kind, imported when they are asked for.

    Args:
        kind: What one entry is called in messages, e.g. ``"Hamiltonian"``.
        group: Entry-point group under which installed packages add entries, e.g. ``"seqtant.hamiltonians"``.
        entries: First entries, objects or lazy strings.

    Example:
        >>> shapes = Registry("shape", entries={"root": "math:sqrt"})
        >>> shapes["root"](16.0)
        4.0
        >>> @shapes.register("double")
        ... def double(x):
        ...     return 2 * x
        >>> sorted(shapes)
        ['double', 'root']
    """

    def __init__(self, kind: str, *, group: str | None = None, entries: dict[str, T | str] | None = None) -> None:
        self.kind = kind
        self._group = group
        self._entries: dict[str, Any] = dict(entries or {})
        self._plugins_read = group is None
        self._plugged: set[str] = set()

    def add(self, name: str, value: T | str) -> None:
        """Adds an entry: an object, or a lazy string ``"module:attribute"``.

        Ours come first: a name that an installed package also offers stays ours.
        """
        if name in self._entries:
            raise InputError(f"{self.kind} '{name}' is already registered: choose another name")
        self._entries[name] = value

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of :meth:`add`."""

        def keep(item: T) -> T:
            self.add(name, item)
            return item

        return keep

    def __getitem__(self, name: str) -> T:
        self._read_plugins()
        if name not in self._entries:
            known = ", ".join(sorted(self._entries))
            raise InputError(f"unknown {self.kind} '{name}'{suggest(name, self._entries)}: known are {known}")
        value: Any = self._entries[name]
        if isinstance(value, str) and ":" in value:
            try:
                self._entries[name] = import_attribute(value)
            except (ImportError, AttributeError) as error:
                if name not in self._plugged:
                    raise
                place = f"the {self.kind} '{name}' that an installed package adds"
                raise InputError(f"{place} cannot be imported from '{value}': {error}: mend or remove it") from error
        return cast(T, self._entries[name])

    def __contains__(self, name: object) -> bool:
        self._read_plugins()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._read_plugins()
        return iter(self._entries)

    def __len__(self) -> int:
        self._read_plugins()
        return len(self._entries)

    def _read_plugins(self) -> None:
        if self._plugins_read:
            return
        self._plugins_read = True
        for point in entry_points(group=self._group or ""):
            if point.name not in self._entries:
                self._entries[point.name] = point.value
                self._plugged.add(point.name)
