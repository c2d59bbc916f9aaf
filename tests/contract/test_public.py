"""What is public: the names of the stubs, imported late, with the signatures that ``public.txt`` holds."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import seqtant

SOURCE = Path(seqtant.__file__).parent
PACKAGES = sorted(".".join(stub.relative_to(SOURCE.parent).parent.parts) for stub in SOURCE.rglob("__init__.pyi"))
PINNED = Path(__file__).with_name("public.txt")
"""Written anew by ``python -m tests.contract.test_public``, for a change that is meant and told in the changelog."""


def public_names(package: str) -> dict[str, str]:
    """The names that a package's stub lists, and the module where each is defined."""
    stub = Path(str(import_module(package).__file__)).with_suffix(".pyi")
    lines = [line for line in ast.parse(stub.read_text(encoding="utf-8")).body if isinstance(line, ast.ImportFrom)]
    return {name.name: f"{package}.{line.module}" for line in lines for name in line.names}


def signature_of(thing: Any) -> str:
    """Names, kinds and defaults of the parameters; what is no function or class has none."""
    if not callable(thing):
        return ""
    try:
        parameters = list(inspect.signature(thing).parameters.values())
    except (TypeError, ValueError):
        return ""
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in parameters]
    text = str(inspect.Signature(plain))
    # Defaults without a lasting text, such as functions, stand as they are named.
    return text if " at 0x" not in text else "(" + ", ".join(each.name for each in plain) + ")"


def described() -> str:
    """All public names with their signatures, a line each."""
    lines = [
        f"{package}.{name}{signature_of(getattr(import_module(package), name))}\n"
        for package in PACKAGES
        for name in public_names(package)
    ]
    return "".join(sorted(lines))


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_there_and_star_import_gives_it(name: str) -> None:
    package = import_module(name)
    given: dict[str, object] = {}
    exec(f"from {name} import *", given)
    for each, home in public_names(name).items():
        assert given[each] is getattr(import_module(home), each)
        assert each in dir(package)


@pytest.mark.parametrize("name", PACKAGES)
def test_importing_a_package_imports_nothing_that_its_names_need(name: str) -> None:
    heavy = "{'numpy', 'torch', 'transformers', 'pydantic'} & {*sys.modules}"
    code = f"import sys, {name}; dir({name}); print({heavy} or 'none')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "none"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        import_module("seqtant.lm").nonsense  # noqa: B018


def test_public_names_and_signatures_are_those_that_are_written_down() -> None:
    assert described() == PINNED.read_text(encoding="utf-8")


if __name__ == "__main__":
    PINNED.write_text(described(), encoding="utf-8")
