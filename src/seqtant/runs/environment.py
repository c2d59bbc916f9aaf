"""Versions, machine and threads: what a number depends on besides its configuration."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("seqtant", "torch", "numpy", "scipy", "transformers", "accelerate", "safetensors", "peft")


@cache
def environment() -> dict[str, str]:
    """Describes the machine without importing anything heavy.

    Example:
        >>> [key for key in sorted(environment()) if key in {"commit", "cores"}]
        ['commit', 'cores']
    """
    found = {name: _version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(os.cpu_count() or 0),
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
        "commit": _commit(),
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


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _commit() -> str:
    """Commit of the source tree with ``+dirty`` when it has changes; empty for an installed package."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return ""
    try:
        ask = ["git", "-C", str(root), "describe", "--always", "--dirty=+dirty", "--exclude=*"]
        return subprocess.run(ask, capture_output=True, text=True, check=False, timeout=5).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
