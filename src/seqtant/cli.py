"""The command table, as lazy strings, and nothing else: ``seqtant --help`` loads no heavy library."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

import seqtant
from seqtant.errors import SeqtantError
from seqtant.rooms import ROOMS

app = App(
    name="seqtant",
    help="Instruments for sequence models: predict from theory, measure on your model, act.",
    version=seqtant.__version__,
)
app.command("seqtant.checkup:checkup", name="checkup", help="Run every instrument that applies to a model; one report.")
for _room in ROOMS.values():
    app.command(f"seqtant.{_room.name}.commands:app", name=_room.name, help=_room.question)
app.command("seqtant.reference.commands:app", name="reference", help="The model that ships: its world, its training, its manifest.")
for _name, _help in {
    "runs": "List, show, compare and export stored runs.",
    "claims": "Published numbers beside ours.",
    "recipe": "List and run the recipes.",
}.items():
    app.command(f"seqtant.commandline.{_name}:app", name=_name, help=_help)
for _name, _help in {
    "report": "Write one HTML page for stored runs.",
    "cite": "BibTeX of the papers a run stands on.",
    "env": "Versions, machine and optional libraries.",
}.items():
    app.command(f"seqtant.commandline.{_name}:{_name}", name=_name, help=_help)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command line; ends with exit code 0, 1 (a gate failed), 2 (bad input) or 3 (inconclusive)."""
    sys.exit(call(sys.argv[1:] if arguments is None else arguments))


def call(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; errors become one line on stderr."""
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _complain(str(error), 2)
    except SeqtantError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _complain("interrupted: run the same command again to resume", 130)
    return code if isinstance(code, int) else 0


def _complain(message: str, code: int) -> int:
    print(f"seqtant: {' '.join(message.split())}", file=sys.stderr)
    return code
