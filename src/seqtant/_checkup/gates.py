"""Pass or fail for continuous integration: limits that a user sets on what a checkup finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtant.errors import GateError, InconclusiveError, InputError, suggest
from seqtant.findings import Estimate, Finding, Result, Verdict
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


@dataclass(frozen=True)
class Gate:
    """One limit on one value."""

    name: str
    """``instrument.value``."""
    limit: Limit


def read_gates(source: str | Path | Mapping[str, Any]) -> list[Gate]:
    """Reads limits, from a YAML file or a mapping: instrument -> value -> ``least`` or ``most``.

    Example of a file::

        beb: {halfway_measured: {least: 3}}
        subtasks: {accuracy_with_steps: {least: 0.9}}

    Raises:
        InputError: The file cannot be read, or an entry is no limit.
    """
    path = "the gate" if isinstance(source, Mapping) else f"'{source}'"
    sections = source if isinstance(source, Mapping) else read_yaml(Path(source))
    gates: list[Gate] = []
    for section, limits in sections.items():
        if not isinstance(limits, dict):
            raise InputError(f"{path}, {section}: write the name of a value and its limit, {{value: {{least: 3}}}}")
        for name, given in limits.items():
            place = f"{path}, {section}.{name}"
            if not isinstance(given, dict):
                raise InputError(f"{place} is {given!r}: write {{least: 3}} or {{most: 3}}")
            gates.append(Gate(f"{section}.{name}", build(Limit, given, source=place)))
    if not gates:
        raise InputError(f"{path} sets no limits: write 'beb: {{halfway_measured: {{least: 3}}}}'")
    return gates


def findings(gates: list[Gate], result: Result) -> list[Finding]:
    """Holds every limit against a checkup.

    A value with an interval passes where the whole interval is within the limit, fails where all of it is beyond, and
    is inconclusive between; a value without one is taken as it is.

    Raises:
        InputError: The checkup has no value of that name.
    """
    return [_finding(gate, _value(gate, result)) for gate in gates]


def _value(gate: Gate, result: Result) -> Estimate:
    section, _, name = gate.name.partition(".")
    # Of two models, the second is the one to be released.
    sections = {part.package: part for part in result.walk() if part.package != "checkup"}
    if section not in sections:
        raise InputError(f"gate {gate.name}: no section '{section}' was run{suggest(section, sections)}")
    found = sections[section].estimate(name)
    if found is None:
        known = suggest(name, sections[section].values)
        raise InputError(f"gate {gate.name}: '{section}' has no value '{name}'{known}")
    return found


def _finding(gate: Gate, found: Estimate) -> Finding:
    words = [f"at {side} {value:g}" for side, value in _sides(gate.limit)]
    verdict = _verdict(found, gate.limit)
    outcome = {"agrees": "passes", "disagrees": "fails"}.get(verdict, "cannot be told")
    return Finding(
        key=gate.name.replace(".", "_"),
        question=f"Is {gate.name} {' and '.join(words)}?",
        verdict=verdict,
        summary=f"{found.number} {found.interval}".strip() + f": {outcome}.",
        measured=found,
    )


def _sides(limit: Limit) -> Iterator[tuple[str, float]]:
    if limit.least is not None:
        yield "least", limit.least
    if limit.most is not None:
        yield "most", limit.most


def _verdict(found: Estimate, limit: Limit) -> Verdict:
    low = found.value if found.low is None else found.low
    high = found.value if found.high is None else found.high
    least = float("-inf") if limit.least is None else limit.least
    most = float("inf") if limit.most is None else limit.most
    if least <= low and high <= most:
        return "agrees"
    return "disagrees" if high < least or low > most else "inconclusive"


def judge(result: Result) -> None:
    """Turns a gate's findings into an exit code; returns where all pass.

    Raises:
        GateError: One fails.
        InconclusiveError: None fails, and one cannot be told.
    """
    own = [finding for part in result.parts if part.instrument == "checkup.gate" for finding in part.findings]
    _raise(GateError, "gate failed", [each for each in own if each.verdict == "disagrees"])
    _raise(InconclusiveError, "gate inconclusive", [each for each in own if each.verdict == "inconclusive"])


def _raise(kind: type[Any], what: str, found: list[Finding]) -> None:
    if found:
        raise kind(f"{what}: " + "; ".join(f"{each.question} {each.summary}" for each in found))
