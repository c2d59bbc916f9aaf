"""What this installation has: versions, optional libraries, device, a writable store, a browser."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from packaging.requirements import Requirement

from seqtant.errors import InputError
from seqtant.runs.environment import environment
from seqtant.runs.store import Store, home

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")


def describe() -> dict[str, Any]:
    """Everything a bug report needs, as plain data."""
    return {
        "environment": environment(),
        "extras": extras(),
        "device": device(),
        "store": str(home() / "runs.sqlite"),
        "store_problem": _store_problem(),
        "browser": find_browser() or "",
    }


def extras() -> dict[str, list[str]]:
    """For each extra of this package, the libraries that are missing; an empty list is a complete extra."""
    missing: dict[str, list[str]] = {}
    for line in requires("seqtant") or []:
        requirement = Requirement(line)
        extra = str(requirement.marker).partition('extra == "')[2].partition('"')[0] if requirement.marker else ""
        if extra and requirement.name != "seqtant":
            found = missing.setdefault(extra, [])
            if not _installed(requirement):
                found.append(requirement.name)
    return missing


def _installed(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


def device() -> str:
    """The device that ``--device auto`` picks, with its name.

    Measuring needs sums in double precision, which mps does not have: there only training leaves the processor.
    """
    import torch

    if torch.cuda.is_available():
        return f"cuda ({torch.cuda.get_device_name(0)})"
    return "cpu (mps for training)" if torch.backends.mps.is_available() else "cpu"


def find_browser() -> str | None:
    """A browser that can open a page without a screen."""
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


def _store_problem() -> str:
    try:
        Store()
    except InputError as error:
        return str(error)
    return ""
