"""The fenced blocks of the documentation: what can be run, what it printed, and how to print it anew.

``python docs/blocks.py`` runs every console block of README and docs that shows output, and writes what the commands
print now in place of what they printed before: no number in the documentation is typed by hand.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNNABLE = ("console", "python")
_FENCE = re.compile(
    r"^(?P<comment><!-- not run: [^\n]+ -->\n+)?```(?P<language>\w+)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Step:
    """One command of a console block and the output shown under it."""

    command: str
    shown: str


@dataclass(frozen=True)
class Block:
    """One fenced block that can be run."""

    page: Path
    line: int
    language: str
    body: str

    @property
    def steps(self) -> list[Step]:
        """Commands in order; a line ending in a backslash and a here-document belong to their command."""
        steps: list[Step] = []
        command, shown, ending = "", "", ""
        for row in self.body.splitlines(keepends=True):
            if ending or command.rstrip("\n").endswith("\\"):
                command += row
                ending = "" if row.strip() == ending else ending
            elif row.startswith("$ "):
                steps += [Step(command, shown)] if command else []
                command, shown = row[2:], ""
                here = re.search(r"<<\s*'?(\w+)'?", row)
                ending = here[1] if here else ""
            else:
                shown += row
        return [*steps, Step(command, shown)]


def pages() -> list[Path]:
    """README and every page of the documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page that can be run: ``console`` and ``python``, unless a comment says why not."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text[: match.start()].count("\n") + 1, match["language"], match["body"])
        for match in _FENCE.finditer(text)
        if match["language"] in RUNNABLE and not match["comment"]
    ]


def run(call: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs one command as a reader would, in a folder of its own, on a terminal 100 columns wide."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "COLUMNS": "100", "SEQTANT_HOME": str(folder / ".seqtant")}
    return subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False)


def output_of(step: Step, folder: Path) -> str:
    """What a command prints, on stdout and, where it fails on purpose, on stderr.

    Raises:
        RuntimeError: The command failed and the block does not show its error message.
    """
    done = run(["bash", "-euo", "pipefail", "-c", step.command], folder)
    if done.returncode != 0 and "seqtant: " not in step.shown:
        raise RuntimeError(f"{step.command}\n{done.stdout}\n{done.stderr}")
    return "\n".join(row.rstrip() for row in (done.stdout or done.stderr).splitlines()) + "\n"


def shape_of(output: str) -> str:
    """An output with its numbers and names of runs masked: what must not change between machines."""
    masked = re.sub(r"\b[01][0-9a-z]{15}\b", "ID", output)
    masked = re.sub(r"[-+]?\d[\d.,:]*(?:e[+-]?\d+)?", "#", masked)
    return re.sub(r"[ ─━═]+", " ", masked).strip()


def refresh(page: Path) -> None:
    """Rewrites the printed output of a page's console blocks."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        for block in blocks(page):
            if block.language == "python":
                run([sys.executable, "-c", block.body], Path(folder))
                continue
            printed = ""
            for step in block.steps:
                now = output_of(step, Path(folder))
                printed += f"$ {step.command}" + (now if step.shown.strip() else "")
            text = text.replace(f"```console\n{block.body}```", f"```console\n{printed}```", 1)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for chosen in [Path(name).resolve() for name in sys.argv[1:]] or pages():
        refresh(chosen)
