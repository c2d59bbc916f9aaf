"""Which layers look back on a window only: one rule per way in which configurations say so."""

from __future__ import annotations

from seqtant.architecture.families.fields import Fields

KINDS = ("full_attention", "sliding_attention")


class Sliding:
    """Every layer has the window of ``sliding_window``; an explicit null means none."""

    def __init__(self, default: int | None) -> None:
        self._default = default

    def __call__(self, fields: Fields, depth: int) -> list[int | None]:
        """The window of each layer."""
        return [_size(fields, self._default)] * depth


class Patterned:
    """All but every so many layers have a window, unless ``layer_types`` says which."""

    def __init__(self, default: int, period: int) -> None:
        self._default = default
        self._period = period

    def __call__(self, fields: Fields, depth: int) -> list[int | None]:
        """The window of each layer."""
        period = fields.size("sliding_window_pattern", self._period)
        return by_type(fields, _size(fields, self._default), [bool((i + 1) % period) for i in range(depth)])


def later_layers(fields: Fields, depth: int) -> list[int | None]:
    """Layers from ``max_window_layers`` on have a window, and only with ``use_sliding_window`` (Qwen)."""
    if not fields.flag("use_sliding_window", False):
        return [None] * depth
    first = fields.raw("max_window_layers", 28)
    return by_type(fields, _size(fields, 4096), [index >= first for index in range(depth)])


def all_or_none(fields: Fields, depth: int) -> list[int | None]:
    """Every layer has a window, and only with ``use_sliding_window`` (Qwen's mixtures)."""
    return [_size(fields, 4096) if fields.flag("use_sliding_window", False) else None] * depth


def without_rotation(fields: Fields, depth: int) -> list[int | None]:
    """Layers without rotary positions have a window, and only with ``use_sliding_window`` (SmolLM3)."""
    if not fields.flag("use_sliding_window", False):
        return [None] * depth
    every = fields.size("no_rope_layer_interval", 4)
    rotary = fields.kinds("no_rope_layers", [int((i + 1) % every != 0) for i in range(depth)], depth)
    return by_type(fields, _size(fields, None), [not flag for flag in rotary])


def local_and_global(fields: Fields, depth: int) -> list[int | None]:
    """Layers alternate as ``attention_types`` lists them (GPT-Neo).

    Raises:
        InputError: The list does not name every layer's kind.
    """
    listed = fields.raw("attention_types", [[["global", "local"], depth // 2]])
    try:
        kinds = [kind for block, times in listed for _ in range(times) for kind in block]
    except (TypeError, ValueError):
        raise fields.error(f"attention_types is {listed!r}: write [[['global', 'local'], 12]]") from None
    if len(kinds) != depth or not set(kinds) <= {"global", "local"}:
        raise fields.error(
            f"attention_types names {len(kinds)} layers of kinds {sorted(set(kinds))}: it must name {depth}"
        )
    window = fields.size("window_size", 256)
    return [window if kind == "local" else None for kind in kinds]


def by_type(fields: Fields, window: int | None, slides: list[bool]) -> list[int | None]:
    """Follows ``layer_types`` where it is given, else the rule's own answer.

    Raises:
        InputError: ``layer_types`` names a kind of layer that cannot be counted.
    """
    kinds = fields.kinds("layer_types", [KINDS[slide] for slide in slides], len(slides))
    strange = next((kind for kind in kinds if kind not in KINDS), None)
    if strange is not None:
        raise fields.error(f"layer_types names '{strange}': known are {', '.join(KINDS)}")
    return [window if kind == "sliding_attention" else None for kind in kinds]


def _size(fields: Fields, default: int | None) -> int | None:
    if default is None or "sliding_window" in fields.data:
        return fields.optional_size("sliding_window")
    return default
