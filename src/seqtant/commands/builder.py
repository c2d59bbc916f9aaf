"""Commands made from configuration classes: a flag's name, type, help and refusals come from the field it sets.

:func:`execute` is the only path that a command takes: resolve, run, save, print, exit code.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import shlex
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from seqtant.boundary import marked, union_members
from seqtant.commands.instruments import GINC, VERBS, playground
from seqtant.commands.options import DEFAULT, Options, Size, Sizes, Whole, WholeOrAll, Wholes
from seqtant.errors import GateError, InconclusiveError
from seqtant.findings import Result, to_json
from seqtant.instruments import config_type, configs, run, write_report
from seqtant.packages import PACKAGES
from seqtant.progress import Task
from seqtant.runs.recorder import Context
from seqtant.settings import field_docs, resolve, to_yaml

LONG = 30.0
"""Seconds of a run from which it is worth a word."""

CROWDED = 1.5
"""Processes that want to run, per core; our own threads alone come to 1."""


def advice_on_threads(wall_seconds: float, *, chosen: bool, load: float, cores: int) -> str:
    """What to do about threads after a long run; empty where there is nothing to do.

    The threads of a matrix product meet after every piece of it. On a core that others use they meet late, and the rest
    spin until then. The number of threads is not chosen here: it changes the last bits of results, so it must not hang
    on what else the machine does.

    Example:
        >>> advice_on_threads(188.0, chosen=False, load=5.5, cores=2)
        'The cores were crowded: OMP_NUM_THREADS=1 before the command may make it several times faster.'
        >>> advice_on_threads(188.0, chosen=False, load=2.1, cores=2)
        ''
    """
    if chosen or wall_seconds < LONG or cores == 1 or load < CROWDED * cores:
        return ""
    return "The cores were crowded: OMP_NUM_THREADS=1 before the command may make it several times faster."


def tell_crowded(wall_seconds: float) -> None:
    """Writes the advice to the error stream, where there is any."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    chosen = "OMP_NUM_THREADS" in os.environ
    advice = advice_on_threads(wall_seconds, chosen=chosen, load=load, cores=os.cpu_count() or 1)
    if advice:
        print(f"seqtant: {advice}", file=sys.stderr)


@dataclass(frozen=True)
class _Bar:
    _bars: RichProgress
    _task: TaskID

    def advance(self, steps: float = 1) -> None:
        self._bars.advance(self._task, steps)

    def show(self, **numbers: float) -> None:
        self._bars.update(self._task, numbers="  ".join(f"{name} {value:.4g}" for name, value in numbers.items()))

    def close(self) -> None:
        self._bars.remove_task(self._task)


class TerminalProgress:
    """Bars and notes on stderr; used as a context manager.

    Example:
        >>> with TerminalProgress() as progress:
        ...     bar = progress.task("counting", 2)
        ...     bar.advance(2)
        ...     bar.close()
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}", markup=False),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> TerminalProgress:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def task(self, description: str, total: float | None = None) -> Task:
        """Opens a bar."""
        return _Bar(self._bars, self._bars.add_task(description, total=total, numbers=""))

    def note(self, message: str) -> None:
        """Prints one line above the bars."""
        self._console.print(message, style="dim", markup=False, highlight=False, soft_wrap=True)


def execute(config_type: type[Any], options: Options, **flags: Any) -> Result | None:
    """Runs one instrument for one command, whose own ``flags`` are None where they were not given.

    Raises:
        InputError: The configuration does not fit, or the output cannot be written.
        GateError: The run failed, or a published claim was not reproduced.
        InconclusiveError: Something was measured, and nothing of it allows a verdict.
    """
    config = resolve(config_type, preset_name=options.preset, file=options.config, flags=flags, assignments=options.set)
    if options.print_config:
        print(to_yaml(config), end="")
        return None
    from seqtant.report.terminal import print_result
    from seqtant.runs.files import make_folder, write_text
    from seqtant.runs.store import Store

    # Fails before the work where its result could not be kept; work that fails leaves no empty folder.
    Store()
    folder = options.out
    is_new = folder is not None and not folder.exists()
    if folder is not None:
        make_folder(folder)
    try:
        with TerminalProgress() as progress:
            seed, device, command = options.seed, options.device, command_line(sys.argv[1:])
            context = Context(seed=seed, device=device, folder=folder, progress=progress, command=command)
            result = run(config, context)
    except BaseException:
        if is_new and folder is not None and not any(folder.iterdir()):
            folder.rmdir()
        raise
    page = None
    try:
        Store().save(result)
        if folder is not None:
            write_text(folder / "result.json", to_json(result, indent=1))
            page = write_report([result], folder / "report.html")
    finally:
        # The numbers were paid for: they are printed even where they cannot be kept.
        if options.json:
            print(to_json(result))
        else:
            print_result(result, page=page)
    tell_crowded(result.wall_seconds)
    judge(result)
    return result


def command_line(arguments: Sequence[str]) -> str:
    """The command as a person would type it."""
    return shlex.join(["seqtant", *arguments])


def judge(result: Result) -> None:
    """Turns a delivered result into the exit code of its command; returns where all is well.

    Raises:
        GateError: The run or a part of it failed, or a published claim was not reproduced.
        InconclusiveError: Something was measured, and nothing of it allows a verdict.
    """
    failed = [each.instrument for each in result.walk() if each.status == "failed"]
    if failed:
        raise GateError(f"failed: {', '.join(failed)}")
    missed = [check.claim.id for each in result.walk() for check in each.claims if check.verdict == "not reproduced"]
    if missed:
        raise GateError(f"not reproduced: {', '.join(missed)}")
    measured = [finding for each in result.walk() for finding in each.findings if finding.measured is not None]
    if measured and all(finding.verdict == "inconclusive" for finding in measured):
        raise InconclusiveError(f"inconclusive: {measured[0].summary}")


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


def __getattr__(name: str) -> App:
    """Makes a package's command group when it is asked for: ``seqtant.commands.instruments:steering``."""
    if name not in VERBS:
        raise AttributeError(name)
    if name == "reference":
        question = "The model that ships: its world, its training, its manifest."
        return build_group(name, VERBS[name], question=question, finish=lambda each: int(each.verdict == "disagrees"))
    app = build_group(name, VERBS[name], finish=_pass_or_fail)
    if name == "icl":
        group = App(
            name="ginc", help="The synthetic data set of Xie et al.: make it, ask Bayes, ask a model, train one."
        )
        app.command(group)
        for verb, fields in GINC.items():
            command = build_command(f"icl ginc-{verb}", config_type(f"icl.ginc-{verb}"), fields)
            group.command(command, name=verb)
            app.command(command, name=f"ginc-{verb}", show=False)
    elif name == "steering":
        apply = build_command("steering generate", config_type("steering.apply"), VERBS["steering"]["apply"])
        app.command(apply, name="generate", show=False)
        checked = build_command(
            "steering import",
            config_type("steering.extract"),
            "source=vector model /",
            help="Check a control vector of another program against a model; --out keeps it as vector.safetensors.",
        )
        app.command(checked, name="import")
        app.command(playground)
    return app


def _pass_or_fail(result: Result) -> int:
    """Makes a gate of a verb whose value ``passed`` is 0 (it fails) or None (it cannot be told)."""
    passed = result.values.get("passed", 1)
    if passed == 0:
        raise GateError(result.findings[0].summary)
    if passed is None:
        raise InconclusiveError(result.findings[0].summary)
    return 0
