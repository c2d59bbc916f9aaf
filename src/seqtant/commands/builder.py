"""Commands made from configuration classes: a flag's name, type, help and refusals come from the field it sets."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from seqtant.boundary import marked, union_members
from seqtant.commands.execute import execute
from seqtant.commands.options import DEFAULT, Options, Size, Sizes, Whole, WholeOrAll, Wholes
from seqtant.findings import Result
from seqtant.instruments import configs
from seqtant.packages import PACKAGES
from seqtant.settings_text import field_docs


def build_group(
    package: str, verbs: Mapping[str, str], *, question: str = "", finish: Callable[[Result], int] = lambda result: 0
) -> App:
    """Makes the command group of a package.

    Args:
        package: Its name.
        verbs: Verb -> the fields that are flags; see :func:`build_command`.
        question: Help of the group; by default the package's question.
        finish: Makes the exit code of a delivered result.
    """
    app = App(name=package, help=question or PACKAGES[package].question)
    for verb, fields in verbs.items():
        kind = configs(package)[verb]
        app.command(build_command(f"{package} {verb}", kind, fields, finish=finish), name=verb)
    return app


def build_command(
    command: str,
    kind: type[Any],
    fields: str,
    *,
    help: str = "",
    prepare: Callable[[dict[str, Any], Options], Options] = lambda given, options: options,
    finish: Callable[[Result], int] = lambda result: 0,
) -> Callable[..., int]:
    """Makes the function of one command.

    Args:
        command: What a user types, e.g. ``steering choose``.
        kind: The configuration class.
        fields: Fields that are flags of their own, separated by blanks; those before ``/`` are given by place.
            ``flag=section.field`` sets a field of a section. The others are reached by ``--set`` and ``--config``.
        help: First line of the help; by default the class's docstring.
        prepare: Looks at the flags, and changes the shared ones, before anything is run.
        finish: Makes the exit code of a delivered result.
    """
    placed, _, named = fields.rpartition("/")
    targets: dict[str, str] = {}
    parameters: list[inspect.Parameter] = []
    for words, place in ((placed, inspect.Parameter.POSITIONAL_ONLY), (named, inspect.Parameter.KEYWORD_ONLY)):
        for word in words.split():
            name, _, target = word.partition("=")
            targets[name] = target or name
            hint, doc, is_off = _field(kind, targets[name])
            # A list is not emptied by a flag of its own, and what is off already needs no --no- form.
            listed = any(typing.get_origin(member) in (tuple, list) for member in union_members(hint))
            annotation = Annotated[_flag_type(hint), Parameter(help=doc, negative="" if listed or is_off else None)]
            parameters.append(inspect.Parameter(name, place, default=None, annotation=annotation))
    options = inspect.Parameter("options", inspect.Parameter.KEYWORD_ONLY, default=DEFAULT, annotation=Options)

    def function(*args: Any, options: Options = DEFAULT, **flags: Any) -> int:
        given = dict(zip(targets, args, strict=False)) | flags
        # As settings: ``{"arm": x}`` with ``arm=examples.arms`` is ``{"examples": {"arms": x}}``.
        data: dict[str, Any] = {}
        for name, value in given.items():
            if value is not None and value != ():
                *sections, last = targets[name].split(".")
                place = data
                for section in sections:
                    place = place.setdefault(section, {})
                place[last] = str(value) if isinstance(value, Path) else value
        result = execute(kind, prepare(given, options), **data)
        return 0 if result is None else finish(result)

    function.__name__ = command.rpartition(" ")[2].replace("-", "_")
    function.__doc__ = help or inspect.cleandoc(kind.__doc__ or "")
    signature: Any = inspect.Signature([*parameters, options], return_annotation=int)
    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__annotations__ = {each.name: each.annotation for each in [*parameters, options]}
    return function


def _field(kind: type[Any], target: str) -> tuple[Any, str, bool]:
    """Type, docstring, and whether it is false by default, of a field or of a field of a section."""
    section, _, rest = target.partition(".")
    hint = typing.get_type_hints(kind, include_extras=True)[section]
    if rest:
        inner = next(member for member in union_members(hint) if dataclasses.is_dataclass(member))
        return _field(typing.cast(type, inner), rest)
    default = next(field.default for field in dataclasses.fields(kind) if field.name == section)
    return hint, field_docs(kind).get(section, ""), default is False


def _flag_type(hint: Any) -> Any:
    """What a flag of a field takes; None always means that it was not given."""
    if marked(hint, "Listed", "InMemory"):  # text that the field's own validator reads
        return str | None
    members = [member for member in union_members(hint) if member is not types.NoneType]
    if len(members) == 2 and int in members and typing.get_origin(members[1]) is Literal:
        whole_or_all: Any = WholeOrAll
        return whole_or_all | None
    first: Any = members[0]
    if typing.get_origin(first) is Literal and all(isinstance(each, str) for each in typing.get_args(first)):
        return first | None
    if typing.get_origin(first) in (tuple, list):
        items = typing.get_args(first)
        if Ellipsis in items or len(items) == 1:
            several: dict[Any, Any] = {int: Wholes, float: Sizes}
            kind = _item_type(items[0])
            return several.get(kind, tuple[kind, ...]) | None
        return tuple[tuple(_item_type(item) for item in items)] | None
    if typing.get_origin(first) is Literal:
        first = type(typing.get_args(first)[0])
    kinds: dict[Any, Any] = {bool: bool, int: Whole, float: Size, Path: Path}
    return kinds.get(first, str) | None


def _item_type(item: Any) -> Any:
    kind = union_members(item)[0]
    return kind if kind in (int, float) or typing.get_origin(kind) is Literal else str
