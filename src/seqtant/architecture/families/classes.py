"""Which class of transformers a configuration is counted as: a head more or less is millions of parameters."""

from __future__ import annotations

from seqtant.architecture.families.fields import Fields


def counted_class(fields: Fields, base: str, default: str, *others: str, renamed: dict[str, str] | None = None) -> str:
    """The class to count, taken from ``architectures``; what had to be assumed goes into the notes.

    Args:
        fields: The configuration.
        base: The class without a head, taken for a class that is not known.
        default: The class taken where the configuration names none.
        *others: Further classes that can be counted.
        renamed: Old names of these classes.

    Raises:
        InputError: ``architectures`` is no list of names.

    Example:
        >>> counted_class(Fields({"architectures": ["GPT2Model"]}, "here"), "GPT2Model", "GPT2LMHeadModel")
        'GPT2Model'
    """
    named = fields.raw("architectures", [])
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise fields.error(f"architectures is {named!r}: it must be a list of class names")
    if not named:
        fields.notes.append(f"the configuration names no class: counted as {default}")
        return default
    name = (renamed or {}).get(named[0], named[0])
    if name in (base, default, *others):
        return name
    fields.notes.append(f"the head of '{name}' is not known here: counted as {base}, without it")
    return base
