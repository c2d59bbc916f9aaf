"""Versions, machine and threads: what a number depends on besides its configuration."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from seqtant.errors import InputError
from seqtant.runs.store import Store, home

PACKAGES = ("seqtant", "torch", "numpy", "scipy", "transformers", "accelerate", "safetensors", "peft")


@cache
def environment() -> dict[str, str]:
    """Describes the machine without importing anything heavy.

    Example:
        >>> [key for key in sorted(environment()) if key in {"commit", "cores"}]
        ['commit', 'cores']
    """
    found = {name: _version(name) for name in PACKAGES}
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    commit, root = "", Path(__file__).parents[3]
    # Commit of the source tree, ``+dirty`` when it has changes; empty for an installed package.
    if (root / ".git").exists():
        ask = ["git", "-C", str(root), "describe", "--always", "--dirty=+dirty", "--exclude=*"]
        with suppress(OSError, subprocess.TimeoutExpired):
            commit = subprocess.run(ask, capture_output=True, text=True, check=False, timeout=5).stdout.strip()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": next(models, platform.processor()),
        "cores": str(os.cpu_count() or 0),
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
        "commit": commit,
        **{name: number for name, number in found.items() if number},
    }


def accelerator() -> str:
    """Name of the first accelerator, or an empty string; asks torch only if torch is already loaded."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")


def describe() -> dict[str, Any]:
    """Everything a bug report needs, as plain data."""
    problem = ""
    try:
        Store()
    except InputError as error:
        problem = str(error)
    return {
        "environment": environment(),
        "extras": extras(),
        "device": device(),
        "store": str(home() / "runs.sqlite"),
        "store_problem": problem,
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
            installed = _version(requirement.name)
            if not installed or not requirement.specifier.contains(installed, prereleases=True):
                found.append(requirement.name)
    return missing


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
