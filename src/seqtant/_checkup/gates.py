"""Pass or fail for continuous integration: limits that a user sets on what a checkup finds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtant.errors import GateError, InconclusiveError, InputError, suggest
from seqtant.findings import Finding, Result, Verdict
from seqtant.settings import build, read_yaml


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What one value may be."""

    least: float | None = None
    """Smallest value that passes."""
    most: float | None = None
    """Largest value that passes."""

    def __post_init__(self) -> None:
        if self.least is None and self.most is None:
            raise InputError("a limit has neither 'least' nor 'most': give one of them")


def read_gates(source: str | Path | Mapping[str, Any]) -> dict[str, Limit]:
    """Reads limits by ``instrument.value``; the YAML file or mapping has instrument -> value -> ``least`` or ``most``.

    Example of a file::

        beb: {halfway_measured: {least: 3}}
        subtasks: {accuracy_with_steps: {least: 0.9}}
    """
    path = "the gate" if isinstance(source, Mapping) else f"'{source}'"
    sections = source if isinstance(source, Mapping) else read_yaml(Path(source))
    gates: dict[str, Limit] = {}
    for section, limits in sections.items():
        if not isinstance(limits, dict):
            raise InputError(f"{path}, {section}: write the name of a value and its limit, {{value: {{least: 3}}}}")
        for name, given in limits.items():
            place = f"{path}, {section}.{name}"
            if not isinstance(given, dict):
                raise InputError(f"{place} is {given!r}: write {{least: 3}} or {{most: 3}}")
            gates[f"{section}.{name}"] = build(Limit, given, source=place)
    if not gates:
        raise InputError(f"{path} sets no limits: write 'beb: {{halfway_measured: {{least: 3}}}}'")
    return gates


def findings(gates: Mapping[str, Limit], result: Result) -> list[Finding]:
    """Holds every limit against a checkup.

    A value with an interval passes where the whole interval is within the limit, fails where all of it is beyond, and
    is inconclusive between; a value without one is taken as it is.
    """
    found: list[Finding] = []
    # Of two models, the second is the one to be released.
    sections = {part.package: part for part in result.walk() if part.package != "checkup"}
    for gate, limit in gates.items():
        section, _, name = gate.partition(".")
        if section not in sections:
            raise InputError(f"gate {gate}: no section '{section}' was run{suggest(section, sections)}")
        value = sections[section].estimate(name)
        if value is None:
            known = suggest(name, sections[section].values)
            raise InputError(f"gate {gate}: '{section}' has no value '{name}'{known}")
        low = value.value if value.low is None else value.low
        high = value.value if value.high is None else value.high
        least = -math.inf if limit.least is None else limit.least
        most = math.inf if limit.most is None else limit.most
        verdict: Verdict = "disagrees" if high < least or low > most else "inconclusive"
        if least <= low and high <= most:
            verdict = "agrees"
        outcome = {"agrees": "passes", "disagrees": "fails"}.get(verdict, "cannot be told")
        sides = (("least", limit.least), ("most", limit.most))
        words = " and ".join(f"at {side} {end:g}" for side, end in sides if end is not None)
        found.append(
            Finding(
                key=gate.replace(".", "_"),
                question=f"Is {gate} {words}?",
                verdict=verdict,
                summary=f"{value.number} {value.interval}".strip() + f": {outcome}.",
                measured=value,
            )
        )
    return found


def judge(result: Result) -> None:
    """Turns a gate's findings into an exit code; returns where all pass.

    Raises:
        GateError: One fails.
        InconclusiveError: None fails, and one cannot be told.
    """
    own = [finding for part in result.parts if part.instrument == "checkup.gate" for finding in part.findings]
    for kind, what, verdict in (
        (GateError, "gate failed", "disagrees"),
        (InconclusiveError, "gate inconclusive", "inconclusive"),
    ):
        found = [each for each in own if each.verdict == verdict]
        if found:
            raise kind(f"{what}: " + "; ".join(f"{each.question} {each.summary}" for each in found))
