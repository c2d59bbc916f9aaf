"""The one way to make a Result: an instrument records what it finds, the recorder adds times and provenance.

What it is handed besides its configuration (seed, device, folder, progress) is a context; versions, machine and threads
are read here.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from types import TracebackType
from typing import Any

from packaging.requirements import Requirement

from seqtant.errors import InputError
from seqtant.findings import (
    Artifact,
    Assumption,
    Cell,
    ClaimCheck,
    Estimate,
    Finding,
    Measurement,
    Result,
    Table,
    Verdict,
)
from seqtant.progress import SILENT, Progress
from seqtant.runs.store import Store, home
from seqtant.settings import assignments, hash_of, plain

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


@dataclass(frozen=True, kw_only=True)
class Context:
    """The circumstances of a run: none of them may change what is measured, only where and how.

    Example:
        >>> Context(seed=3).seed
        3
    """

    seed: int = 0
    """Seed of every random draw of the run."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``."""
    folder: Path | None = None
    """Where artifacts and checkpoints go; None keeps nothing."""
    progress: Progress = SILENT
    """Where long work reports."""
    command: str = ""
    """The command line, if there was one."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed is {self.seed}: give a whole number from 0 to 2^63 - 1")


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id() -> str:
    """A unique name that sorts by time: 9 characters of milliseconds, 7 random ones.

    Example:
        >>> len(new_id())
        16
    """
    # Shifts bind tighter than |: 45 bits of time, then 35 of the 40 random bits.
    number = int(time.time() * 1000) << 35 | int.from_bytes(os.urandom(5), "big") >> 5
    # 16 groups of 5 bits, the highest first; the alphabet is in ASCII order, so texts sort as the numbers do.
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(75, -5, -5))


def command_of(instrument: str, config: Any, context: Context, data: Mapping[str, Any] | None = None) -> str:
    """Writes the command line that makes a run again; empty where none does: the settings hold something in memory.

    Example:
        >>> from seqtant.architecture.config import PlanConfig
        >>> from seqtant.runs.recorder import Context
        >>> command_of("architecture.plan", PlanConfig(params=8.5e7), Context(seed=3))
        'seqtant architecture plan --set params=85000000.0 --seed 3'
    """
    if getattr(config, "verb", "") != instrument or "." not in instrument:
        return ""
    given = assignments(config, data)
    if any(" in memory" in assignment for assignment in given):
        return ""
    words = [word for assignment in given for word in ("--set", assignment)]
    seed = ["--seed", str(context.seed)] if context.seed else []
    device = ["--device", context.device] if context.device != "auto" else []
    return shlex.join(["seqtant", *instrument.split("."), *words, *seed, *device])


class Recorder:
    """Collects what one run finds; on leaving the ``with`` block it becomes a frozen Result.

    Args:
        instrument: E.g. ``"architecture.plan"``.
        title: One line for people.
        config: The frozen configuration dataclass.
        context: Circumstances of the run.
        papers: Numbers of the papers the result stands on.

    Example:
        >>> from seqtant.runs.recorder import Context
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Half:
        ...     x: float
        >>> with Recorder("demo.half", "Half of a number", Half(3.0), Context()) as record:
        ...     record.value("half", 1.5)
        >>> record.result.values
        {'half': 1.5}
    """

    def __init__(
        self, instrument: str, title: str, config: Any, context: Context, *, papers: tuple[int, ...] = ()
    ) -> None:
        self.context = context
        data = plain(config)
        self._fixed: dict[str, Any] = {
            "instrument": instrument,
            "title": title,
            "id": new_id(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "config": data,
            "config_hash": hash_of(data),
            "command": context.command or command_of(instrument, config, context, data),
            "seed": context.seed,
            "papers": papers,
        }
        self._values: dict[str, float | int | None] = {}
        self._lists: dict[str, list[Any]] = {
            name: [] for name in ("findings", "tables", "measurements", "claims", "artifacts", "warnings", "parts")
        }
        self._result: Result | None = None

    def __enter__(self) -> Recorder:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A failed run leaves no result; the exception goes on.
        if error is not None:
            return
        device = accelerator()
        lists: dict[str, Any] = {name: tuple(items) for name, items in self._lists.items()}
        self._result = Result(
            environment=environment() | ({"accelerator": device} if device else {}),
            wall_seconds=time.perf_counter() - self._wall,
            cpu_seconds=time.process_time() - self._cpu,
            values=self._values,
            **self._fixed,
            **lists,
        )

    @property
    def result(self) -> Result:
        """The finished record; only after the ``with`` block.

        Raises:
            RuntimeError: The block has not ended, or ended in an error.
        """
        if self._result is None:
            raise RuntimeError("the recorder's block has not ended: there is no result yet")
        return self._result

    def value(self, name: str, number: float | int | None) -> None:
        """Records a headline number under its snake_case name."""
        self._values[name] = number

    def values(self, **numbers: float | int | None) -> None:
        """Records several headline numbers."""
        self._values |= numbers

    def finding(
        self,
        key: str,
        question: str,
        verdict: Verdict,
        summary: str,
        *,
        predicted: Estimate | None = None,
        measured: Estimate | None = None,
        assumptions: tuple[Assumption, ...] = (),
        advice: str = "",
        supporting: bool = False,
    ) -> None:
        """Records one finding; see :class:`seqtant.findings.Finding`."""
        sides = {"predicted": predicted, "measured": measured}
        self.add(
            Finding(
                key=key,
                question=question,
                verdict=verdict,
                summary=summary,
                assumptions=assumptions,
                advice=advice,
                supporting=supporting,
                **sides,
            )
        )

    def add(self, finding: Finding) -> None:
        """Records a finding that was made elsewhere."""
        self._lists["findings"].append(finding)

    def measure(
        self,
        key: str,
        value: float,
        *,
        unit: str = "",
        step: float | None = None,
        seed: int | None = None,
        group: str = "",
    ) -> None:
        """Records one raw row."""
        self._lists["measurements"].append(
            Measurement(key=key, value=value, unit=unit, step=step, seed=seed, group=group)
        )

    def items(self, key: str, values: Iterable[float], *, unit: str = "", kind: str = "item") -> None:
        """Records one number per item (prompt, problem, text): runs over the same items are compared in pairs.

        Args:
            key: What was measured.
            values: In the order of the items, which must depend on the seed and the user's files alone.
            unit: Unit of the numbers.
            kind: What an item is.
        """
        for number, value in enumerate(values):
            self.measure(key, value, unit=unit, group=f"{kind} {number}")

    def table(
        self, name: str, title: str, columns: tuple[str, ...], rows: Sequence[tuple[Cell, ...]], note: str = ""
    ) -> None:
        """Records a table for people."""
        self._lists["tables"].append(Table(name=name, title=title, columns=columns, rows=tuple(rows), note=note))

    def claim(self, check: ClaimCheck) -> None:
        """Records a published claim beside what was observed."""
        self._lists["claims"].append(check)

    def warn(self, message: str) -> None:
        """Records a warning that a reader of the result must see."""
        self._lists["warnings"].append(message)

    def part(self, result: Result) -> None:
        """Records the result of an instrument that this run called."""
        self._lists["parts"].append(result)

    def artifact(self, path: Path, kind: str) -> None:
        """Records a file that the run wrote, with its hash."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        self._lists["artifacts"].append(Artifact(path=str(path), kind=kind, sha256=digest, bytes=size))
