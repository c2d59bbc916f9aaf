"""Pages that scripts write are what the scripts would write now, and the reference names what the commands take."""

from __future__ import annotations

import re
import subprocess
import sys
from types import ModuleType

import pytest

GENERATORS = ("cli_pages", "api_pages", "papers_page", "scale_page", "families_page")


@pytest.mark.parametrize("script", GENERATORS, indirect=True)
def test_the_committed_pages_are_what_the_script_writes(script: ModuleType) -> None:
    written = {name: (script.FOLDER / name).read_text(encoding="utf-8") for name in script.pages()}
    stale = [name for name, content in script.pages().items() if written[name] != content]
    assert not stale, f"run python {script.__file__}"


@pytest.mark.parametrize("script", ["cli_pages", "api_pages"], indirect=True)
def test_no_page_is_left_of_a_command_or_package_that_is_gone(script: ModuleType) -> None:
    assert {path.name for path in script.FOLDER.glob("*.md")} == set(script.pages())


@pytest.mark.parametrize("script", ["cli_pages"], indirect=True)
@pytest.mark.parametrize("command", ["checkup", "steering choose", "icl ginc bayes", "runs export"])
def test_a_page_names_every_flag_that_help_prints(script: ModuleType, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "seqtant", *command.split(), "--help"], capture_output=True, text=True, check=True
    )
    printed = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", done.stdout))
    page = script.group_page(command.partition(" ")[0])
    (own,) = [part for part in re.split(r"^#+ ", page, flags=re.MULTILINE) if part.startswith(f"{command}\n")]
    assert len(printed) >= 2
    assert printed <= set(re.findall(r"--[a-z][a-z-]+", own + script.index_page()))


@pytest.mark.parametrize("script", ["cli_pages", "api_pages"], indirect=True)
def test_writing_the_pages_loads_no_heavy_library(script: ModuleType) -> None:
    code = (
        f"import runpy, sys; found = runpy.run_path({script.__file__!r}); found['pages'](); "
        "print([name for name in ('torch', 'transformers', 'pandas', 'plotly') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
