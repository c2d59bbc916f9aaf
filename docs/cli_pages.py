"""Writes the command-line reference from what ``--help`` knows, so that it cannot fall behind the commands.

``python docs/cli_pages.py`` writes ``docs/cli/*.md``; a test fails where a page is not what this would write.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from cyclopts import App

from seqtant.cli import app
from seqtant.commands.options import Options
from seqtant.packages import PACKAGES

FOLDER = Path(__file__).parent / "cli"

INTRODUCTION = """# Command line

Every page of this chapter is written from `--help`. The flags under a command are those picked by hand; each command of
an instrument has many more settings, and `--print-config` prints them all with what they mean. Set one with
`--set section.key=value`, or keep them in a YAML file for `--config`.

"""

SHARED = """
## Flags of every instrument

{flags}

Sizes may be written short: `1.3B`, `32K`.

## Exit codes

| code | means |
| ---: | --- |
| 0 | done |
| 1 | a gate or a claim failed |
| 2 | wrong usage or bad input: one line says what to do |
| 3 | inconclusive: not enough data to say |
| 130 | interrupted; the same command goes on |

## Where runs are kept

In `$SEQTANT_HOME`, or `~/.seqtant`, as one SQLite file. `seqtant runs list` shows them, `seqtant report RUN`
writes their page again.
"""


def names(group: App) -> list[str]:
    """The commands of a group, in its order, without its flags."""
    return [name for name in group if not name.startswith("-")]


def is_group(command: App) -> bool:
    """Does it have commands of its own?"""
    return bool(names(command))


def flags(command: App) -> list[str]:
    """One line of Markdown for each argument and flag of a command."""
    text = command.generate_docs(output_format="markdown", include_hidden=False)
    joined = re.sub(r"(?<=\S)\n {4}(?=\S)", " ", text)  # what a help text says on a further line
    # The generator lists `--empty-` forms that the commands, as they are joined in `cli.py`, do not take.
    unsaid = re.compile(r" \*\[default: (?:False|\(\))\]\*|, --empty-[\w-]+")
    rows = [row.replace("``", "`") for row in joined.splitlines() if row.startswith("* ")]
    return [unsaid.sub("", row) for row in rows]


def shared_flags() -> tuple[str, ...]:
    """How the lines of the flags that all instruments take begin."""
    return tuple(f"* `--{field.name.replace('_', '-')}" for field in fields(Options))


def own_flags(command: App) -> tuple[list[str], bool]:
    """The lines of a command's own flags, and whether it takes the shared ones too."""
    rows = flags(command)
    shared = [row for row in rows if row.startswith(shared_flags())]
    takes_all = len(shared) == len(fields(Options))
    return [row for row in rows if not takes_all or row not in shared], takes_all


def what(command: App) -> str:
    """What a command does: its docstring up to the list of arguments."""
    return re.split(r"\n(?:Args:|Parameters\n)", inspect.cleandoc(command.help))[0].strip()


def section(command: App, called: str, level: int) -> Iterator[str]:
    """One command: what it does, how it is called, its flags."""
    own, shared = own_flags(command)
    places = [row.split("`")[1] for row in own if not row.startswith("* `-")]
    yield f"{'#' * level} {called}\n"
    yield f"{what(command)}\n"
    yield f"```text\n{' '.join(['seqtant', called, *places])} [FLAGS]\n```\n"
    if own:
        yield "\n".join(own) + "\n"
    if shared:
        yield "and the [flags of every instrument](index.md#flags-of-every-instrument).\n"


def sections(group: App, called: str) -> Iterator[str]:
    """All commands of a group, and those of the groups in it."""
    for verb in names(group):
        command, name = group[verb], f"{called} {verb}"
        yield from sections(command, name) if is_group(command) else section(command, name, 2)


def group_page(name: str) -> str:
    """The page of a group of commands, or of a single one."""
    command = app[name]
    if not is_group(command):
        return "\n".join(section(command, name, 1))
    parts = [f"# {name}\n", f"{command.help}\n"]
    if name in PACKAGES:
        parts.append(f"What it measures and how to read it: [the page of the instrument](../instruments/{name}.md).\n")
    return "\n".join([*parts, *sections(command, name)])


def index_page() -> str:
    """All groups, and what they share."""
    table = ["| command | |", "| --- | --- |"]
    table += [f"| [`seqtant {name}`]({name}.md) | {app[name].help} |" for name in names(app)]
    shared = [row for row in flags(app["architecture"]["plan"]) if row.startswith(shared_flags())]
    return INTRODUCTION + "\n".join(table) + "\n" + SHARED.format(flags="\n".join(shared))


def pages() -> dict[str, str]:
    """File name -> content."""
    return {"index.md": index_page(), **{f"{name}.md": group_page(name) for name in names(app)}}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, content in pages().items():
        (FOLDER / file).write_text(content, encoding="utf-8")
