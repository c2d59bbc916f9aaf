"""Finds the fenced blocks of a Markdown page that can be run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(?P<language>\w+)(?P<options>[^\n]*)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    options: str
    body: str

    @property
    def commands(self) -> list[str]:
        """The commands of a console block, continuation lines and here-documents joined."""
        commands: list[str] = []
        ending = ""
        for row in self.body.splitlines():
            if ending or (commands and commands[-1].endswith("\\")):
                commands[-1] += "\n" + row
                ending = "" if row == ending else ending
            elif row.startswith("$ "):
                commands.append(row[2:])
                here = re.search(r"<<\s*'?(\w+)'?", row)
                ending = here[1] if here else ""
        return commands

    @property
    def printed(self) -> list[str]:
        """The lines of printed output that the block shows, without ellipses."""
        shown = [row for row in self.body.splitlines() if not row.startswith(("$ ", "> "))]
        return [row.strip() for row in shown if row.strip() and row.strip() != "..."]


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text[: match.start()].count("\n") + 1, match["language"], match["options"].strip(), match["body"])
        for match in _FENCE.finditer(text)
    ]
