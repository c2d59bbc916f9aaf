"""The command table: light to start, one line for every mistake, the right exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

import seqtant
from seqtant import cli
from seqtant.errors import GateError, InconclusiveError, InputError
from seqtant.packages import PACKAGES

HEAVY = ("torch", "transformers", "pandas", "plotly", "scipy", "accelerate", "datasets")


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after a statement."""
    code = (
        f"import sys\n{statement}\nprint('\\n'.join({{name.split('.')[0] for name in sys.modules}}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


CALLS = [
    "--help",
    "--version",
    "",
    "archtecture plan",
    "runs --help",
    "claims --help",
    "recipe --help",
    "report --help",
]


@pytest.mark.parametrize("arguments", [*CALLS, *(f"{name} --help" for name in PACKAGES)])
def test_help_and_mistakes_load_nothing_heavy(arguments: str) -> None:
    loaded = loaded_after(f"from seqtant.cli import call\ncall({arguments.split()!r})")
    assert "seqtant" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import seqtant\nfrom seqtant import Result, Context").isdisjoint(HEAVY)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.call(["--help"]) == 0
    shown = capsys.readouterr().out
    commands = [*PACKAGES, "checkup", "reference", "runs", "claims", "recipe", "report", "cite", "env"]
    assert [name for name in commands if name not in shown] == []


@pytest.mark.parametrize("name", ["runs", "claims", "recipe", "report", "cite", "env"])
def test_every_lazy_command_resolves_under_its_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.call([name, "--help"]) == 0
    assert f"Usage: seqtant {name}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.call(["--version"]) == 0
    assert capsys.readouterr().out.strip() == seqtant.__version__


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("archtecture", "unknown command 'archtecture' (did you mean 'architecture'?)"),
        ("clams check", "unknown command 'clams' (did you mean 'claims'?)"),
        ("frobnicate", "unknown command 'frobnicate': known are checkup, "),
        ("--hlp", "unknown option '--hlp' (did you mean '--help'?)"),
        ("runs lst", 'Unknown command "lst". Did you mean "list"?'),
        ("report", "requires an argument"),
        ("env --nope", "Unknown option: --nope"),
        ("cite last more", "nothing takes 'more': see 'seqtant cite --help'"),
        ("claims list --paper 77", "there is no paper 77: give one of 1, 2, 3"),
        ("runs list --limit many", "--limit: 'many' is not a whole number"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.call(arguments.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("seqtant: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err


def test_a_mistyped_command_imports_no_command() -> None:
    code = "import sys\nfrom seqtant.cli import call\ncall(['archtecture'])\n"
    code += "sys.exit(any(name.endswith('.commands') or name.startswith('seqtant.commands') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("no such\n  file"), 2, "seqtant: no such file\n"),
        (GateError("too steep"), 1, "seqtant: too steep\n"),
        (InconclusiveError("few data"), 3, "seqtant: few data\n"),
        (KeyboardInterrupt(), 130, "seqtant: interrupted: run the same command again to resume\n"),
    ],
)
def test_errors_become_exit_codes(
    error: BaseException, code: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from seqtant.commands import about

    def fail(run: str | None = None, /) -> None:
        raise error

    monkeypatch.setattr(about, "cite", fail)
    app = cli.App(name="seqtant", suppress_keyboard_interrupt=cli.app.suppress_keyboard_interrupt)
    app.command("seqtant.commands.about:cite", name="cite")
    monkeypatch.setattr(cli, "app", app)
    assert cli.call(["cite"]) == code
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("command", ["cite", "runs list"])
def test_a_reader_that_stops_early_is_no_error(command: str) -> None:
    call = [sys.executable, "-c", "from seqtant.cli import main; main()", *command.split()]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
