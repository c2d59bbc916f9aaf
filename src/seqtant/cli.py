"""The command table, as lazy strings, and nothing else: ``seqtant --help`` loads no heavy library."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

import seqtant
from seqtant.boundary import RENAMED
from seqtant.errors import InputError, SeqtantError, suggest
from seqtant.packages import PACKAGES

app = App(
    name="seqtant",
    help="Instruments for sequence models: predict from theory, measure on your model, act.",
    version=seqtant.__version__,
    suppress_keyboard_interrupt=False,
    # A list is left out, not emptied by a flag of its own.
    default_parameter=Parameter(negative_iterable=()),
)
_TABLE: dict[str, tuple[str, str]] = {
    "checkup": ("seqtant.commands.checkup:checkup", "Run every instrument that applies to a model; one report."),
    **{each.name: (f"seqtant.commands.builder:{each.name}", each.question) for each in PACKAGES.values()},
    "reference": (
        "seqtant.commands.builder:reference",
        "The model that ships: its world, its training, its manifest.",
    ),
    "runs": ("seqtant.commands.runs:app", "List, show, compare and export stored runs."),
    "claims": ("seqtant.commands.claims:app", "Published numbers beside ours."),
    "recipe": ("seqtant.commands.recipe:app", "List and run the recipes."),
    "report": ("seqtant.commands.about:report", "Write one HTML page for stored runs."),
    "cite": ("seqtant.commands.about:cite", "BibTeX of the papers a run stands on."),
    "env": ("seqtant.commands.about:env", "Versions, machine and optional libraries."),
}
for _name, (_target, _help) in _TABLE.items():
    app.command(_target, name=_name, help=_help)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command line; ends with exit code 0, 1 (a gate failed), 2 (bad input) or 3 (inconclusive)."""
    sys.exit(call(sys.argv[1:] if arguments is None else arguments))


def call(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; errors become one line on stderr."""
    try:
        # Left to cyclopts, a typo would import every command.
        if arguments and arguments[0] not in list(app):
            given = arguments[0]
            kind = "option" if given.startswith("-") else "command"
            known = [name for name in app if name.startswith("-") == given.startswith("-")]
            hint = suggest(given, known) or f": known are {', '.join(known)}"
            raise InputError(f"unknown {kind} '{given}'{hint}")
        # Flags under the names they had in 0.1, which are read until 0.3.
        former = FORMER_FLAGS.get(tuple(arguments[:2]), {})
        spelled = {f"--{old}": f"--{new}" for old, new in RENAMED.items()}
        renamed = {old: former.get(new, new) for old, new in spelled.items()} | former
        names = (argument.partition("=") for argument in arguments)
        todays = [f"{renamed.get(name, name)}{equals}{value}" for name, equals, value in names]
        code = app(todays, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except UnusedCliTokensError as error:
        command = " ".join(["seqtant", *(error.command_chain or ())])
        return _complain(f"nothing takes '{' '.join(error.unused_tokens or ())}': see '{command} --help'", 2)
    except CycloptsError as error:
        return _complain(str(error), 2)
    except SeqtantError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _complain("interrupted: run the same command again to resume", 130)
    except BrokenPipeError:
        # Who reads our output (head, less) has enough of it; the interpreter must not flush into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


FORMER_FLAGS: dict[tuple[str, ...], dict[str, str]] = {
    ("beb", "measure"): {"--behavior": "--statements"},
    ("beb", "fit-components"): {"--behavior": "--statements"},
    ("claims", "list"): {"--room": "--package"},
    ("claims", "check"): {"--room": "--package"},
}
"""Flags whose name in 0.1 means something else today, by command."""


def _complain(message: str, code: int) -> int:
    print(f"seqtant: {' '.join(message.split())}", file=sys.stderr)
    return code
