"""The language all instruments speak: a number with its interval, a finding, a published claim, a result.

Every object is a frozen dataclass with an exact JSON round trip, so that the terminal, the page, the database and the
README are all views of one record.
"""

from __future__ import annotations

import html
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, PlainSerializer, TypeAdapter, ValidationError

from seqtant.errors import InputError
from seqtant.optional import require

SCHEMA_VERSION = 1

Verdict = Literal["agrees", "disagrees", "vacuous", "inconclusive"]
AssumptionStatus = Literal["holds", "fails", "not checked"]
ClaimVerdict = Literal["reproduced", "not reproduced", "unverified source", "not run"]
Scale = Literal["smoke", "cpu", "gpu"]
"""Seconds, minutes to an hour on two processor cores, or a graphics processor."""
Cell = str | int | float | bool | None

# JSON knows no infinity, yet a vacuous bound is infinite: written as "Infinity", read back as the number.
_STRICT = ConfigDict(extra="forbid", ser_json_inf_nan="strings")


Number = Annotated[
    float | int | None,
    PlainSerializer(
        lambda value: value if value is None or math.isfinite(value) else f"{'-' if value < 0 else ''}Infinity",
        return_type=float | int | str | None,
        when_used="json",
    ),
]
"""A headline number. Pydantic does not apply ``ser_json_inf_nan`` inside a union, so infinity is written here."""


def _scalar(value: Any, place: str) -> Any:
    """A NumPy or torch scalar as a plain Python one; NaN is refused."""
    plain: Any = value.item() if hasattr(value, "item") else value
    if isinstance(plain, float) and math.isnan(plain):
        raise InputError(f"{place} is NaN: a missing number must be None with a reason, never a value")
    return plain


def _tidy_floats(record: object, *names: str) -> None:
    """Makes these fields plain floats, so that a record equals what its JSON is read back as."""
    for name in names:
        value = _scalar(getattr(record, name), f"{type(record).__name__}.{name}")
        object.__setattr__(record, name, None if value is None else float(value))


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number that never travels alone.

    Example:
        >>> str(Estimate(value=0.313, low=0.301, high=0.325, method="cluster bootstrap", n=400, clusters=40))
        '0.313 [0.301, 0.325] (95 %, cluster bootstrap, n=400 in 40 clusters)'
        >>> str(Estimate.exact(110))
        '110 (exact)'
    """

    __pydantic_config__ = _STRICT

    value: float
    """The number."""
    low: float | None = None
    """Lower end of the interval; None if there is none."""
    high: float | None = None
    """Upper end of the interval; None if there is none."""
    level: float = 0.95
    """Coverage of the interval, in (0, 1)."""
    method: str = "not estimated"
    """How the interval was made: ``exact``, ``cluster bootstrap``, ``Wilson``, ``delta method`` ..."""
    n: int | None = None
    """Number of observations."""
    clusters: int | None = None
    """Number of independent clusters among them."""
    unit: str = ""
    """Unit, e.g. ``nats`` or ``ms``."""

    def __post_init__(self) -> None:
        _tidy_floats(self, "value", "low", "high", "level")
        if not 0 < self.level < 1:
            raise InputError(f"Estimate.level is {self.level}: it must lie between 0 and 1")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise InputError(f"Estimate's interval ends are swapped: low {self.low} is above high {self.high}")

    @classmethod
    def exact(cls, value: float, unit: str = "", method: str = "exact") -> Estimate:
        """A number known without error."""
        return cls(value=value, low=value, high=value, method=method, unit=unit)

    @property
    def is_exact(self) -> bool:
        """Whether the interval is a point."""
        return self.low == self.high == self.value

    @property
    def number(self) -> str:
        """The number with its unit, to the digits its interval warrants, without the interval."""
        return self._format(self.value) + (f" {self.unit}" if self.unit else "")

    @property
    def interval(self) -> str:
        """The interval in brackets; empty where there is none or it is a point. An open end is infinite."""
        if self.is_exact or (self.low is None and self.high is None):
            return ""
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return f"[{self._format(low)}, {self._format(high)}]"

    def _format(self, number: float) -> str:
        """Two significant digits of the interval's width decide; without a finite width, four of the number."""
        ends = (self.value, self.low, self.high)
        if any(end is None or abs(end) >= 1e6 for end in ends) or abs(self.value) < 1e-3 or self.low == self.high:
            return format_number(number)
        # No end is None here: ``or 0.0`` is for the type checker alone.
        width = (self.high or 0.0) - (self.low or 0.0)
        # A wide interval must not hide the number itself: the smaller of the two sets the digits.
        smallest = min(width, abs(self.value))
        return f"{number:.{min(8, max(0, 1 - math.floor(math.log10(smallest))))}f}"

    @property
    def basis(self) -> str:
        """How the interval was made and from how much."""
        if not self.interval:
            return self.method if self.is_exact else f"no interval: {self.method}"
        sample = "" if self.n is None else f", n={self.n}"
        sample += "" if self.clusters is None else f" in {self.clusters} clusters"
        return f"{100 * self.level:g} %, {self.method}{sample}"

    def __str__(self) -> str:
        return " ".join(part for part in (self.number, self.interval, f"({self.basis})") if part)


def format_number(value: float) -> str:
    """Four significant digits, no exponent for everyday sizes.

    Example:
        >>> [format_number(x) for x in (110, 13460.4, 0.0123456, 1.74e11)]
        ['110', '13460', '0.01235', '1.74e+11']
    """
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞"
    if value == int(value) and abs(value) < 1e7:
        return str(int(value))
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """Something a prediction rests on, and what a check said of it."""

    __pydantic_config__ = _STRICT

    statement: str
    """The assumption in one sentence."""
    status: AssumptionStatus = "not checked"
    """What the check said."""
    how: str = ""
    """How it was checked, or why not."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One answer: prediction beside measurement, what it assumes, the verdict, what to do."""

    __pydantic_config__ = _STRICT

    key: str
    """Short name in snake_case, unique within a result."""
    question: str
    """What was asked."""
    verdict: Verdict
    """Whether prediction and measurement agree."""
    summary: str
    """The answer in one sentence."""
    predicted: Estimate | None = None
    """What the theory says."""
    measured: Estimate | None = None
    """What was measured."""
    assumptions: tuple[Assumption, ...] = ()
    """What the prediction rests on."""
    advice: str = ""
    """What to do about it."""
    supporting: bool = False
    """Whether it checks the theory behind another answer: then it does not decide the verdict of the whole result."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a paper or a peer published."""

    __pydantic_config__ = _STRICT

    id: str
    """Unique name, e.g. ``paper8.table.gpt3_175b.depth``."""
    paper: int
    """Number in the paper index."""
    statement: str
    """What is claimed, in words."""
    locator: str
    """Where it is printed: table, figure, equation."""
    published: float
    """The published value."""
    tolerance: float
    """Largest absolute difference that still counts as reproduced."""
    source: Literal["text", "code", "peer", "derived", "memory"]
    """How the published value was obtained; ``memory`` is never shown as published truth."""
    unit: str = ""
    """Unit of the published value."""
    instrument: str = ""
    """Instrument that observes it, e.g. ``architecture.plan``."""
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    """Configuration of that instrument."""
    value: str = ""
    """Key in the result's ``values``."""
    script: str = ""
    """What makes the record, where no verb does; ``instrument`` and ``config`` are then those of the record."""
    scale: Scale = "smoke"
    """Smallest scale at which it can be observed."""
    why_not: str = ""
    """Why it is not observed here: data or a machine that is out of reach, or a number that is no measurement."""

    def __post_init__(self) -> None:
        _tidy_floats(self, "published", "tolerance")
        if self.why_not and self.instrument and self.scale != "gpu":
            raise InputError(f"claim '{self.id}' says why it is not observed, and which instrument observes it")


@dataclass(frozen=True, kw_only=True)
class ClaimCheck:
    """A claim beside what we observed."""

    __pydantic_config__ = _STRICT

    claim: Claim
    observed: Estimate | None
    verdict: ClaimVerdict


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One tidy row of raw data."""

    __pydantic_config__ = _STRICT

    key: str
    value: float
    unit: str = ""
    step: float | None = None
    seed: int | None = None
    group: str = ""

    def __post_init__(self) -> None:
        _tidy_floats(self, "value", "step")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows for people: what a terminal, a page and a README print alike."""

    __pydantic_config__ = _STRICT

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        place = f"a cell of table '{self.name}'"
        scalars = [[_scalar(value, place) for value in row] for row in self.rows]
        rows = tuple(
            tuple(format_number(each) if isinstance(each, float) and math.isinf(each) else each for each in row)
            for row in scalars
        )
        if any(len(row) != len(self.columns) for row in rows):
            raise InputError(f"table '{self.name}' has a row that does not fit its {len(self.columns)} columns")
        object.__setattr__(self, "rows", rows)


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file that a run wrote."""

    __pydantic_config__ = _STRICT

    path: str
    kind: str
    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Result:
    """Everything one run found, with all that is needed to trust it and to run it again."""

    __pydantic_config__ = _STRICT

    instrument: str
    """Which instrument ran, e.g. ``architecture.plan``."""
    title: str
    """One line for people."""
    id: str
    """Unique, sortable by time of creation."""
    created: str
    """Start, UTC, ISO 8601."""
    config: dict[str, Any]
    """The resolved configuration."""
    config_hash: str
    """SHA-256 of its canonical JSON, 16 hexadecimal digits."""
    command: str = ""
    """The command line that makes this result again."""
    seed: int = 0
    """Seed of every random draw."""
    environment: dict[str, str] = field(default_factory=dict[str, str])
    """Versions, machine and threads."""
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    values: dict[str, Number] = field(default_factory=dict[str, Number])
    """Headline numbers by snake_case name; intervals are in ``findings``."""
    findings: tuple[Finding, ...] = ()
    tables: tuple[Table, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    claims: tuple[ClaimCheck, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    warnings: tuple[str, ...] = ()
    papers: tuple[int, ...] = ()
    """Papers the result stands on, for citation."""
    parts: tuple[Result, ...] = ()
    """Results of the instruments that a composite run called."""
    status: Literal["ok", "failed"] = "ok"
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        _tidy_floats(self, "wall_seconds", "cpu_seconds")
        values = {key: _scalar(value, f"value '{key}'") for key, value in self.values.items()}
        object.__setattr__(self, "values", values)

    @property
    def package(self) -> str:
        """The package the instrument belongs to."""
        return self.instrument.partition(".")[0]

    def estimate(self, name: str, *, unit: str = "") -> Estimate | None:
        """A headline value with the interval of the finding that holds the same number; None if there is no value.

        Args:
            name: Key in ``values``.
            unit: Unit of the value where no finding tells it.
        """
        value = self.values.get(name)
        if value is None:
            return None
        # False sorts before True: the finding of the same name comes first, the others keep their order.
        for finding in sorted(self.findings, key=lambda each: each.key != name):
            for estimate in (finding.measured, finding.predicted):
                if estimate is not None and estimate.value == value:
                    return estimate
        return Estimate(value=value, unit=unit, method="single value")

    def series(self, key: str, group: str | None = None) -> list[Measurement]:
        """The raw rows of one quantity, in the order they were recorded."""
        return [m for m in self.measurements if m.key == key and group in (None, m.group)]

    def walk(self) -> Iterator[Result]:
        """This result and, depth first, the results of all its parts."""
        yield self
        for part in self.parts:
            yield from part.walk()

    @property
    def verdict(self) -> Verdict | None:
        """One word for all findings, parts included: bad news if there is any, else the answer to the first question.

        Supporting findings do not count; None without findings.
        """
        answers = [each for result in self.walk() for each in result.findings if not each.supporting]
        found: list[Verdict] = [finding.verdict for finding in answers]
        return "disagrees" if "disagrees" in found else next(iter(found), None)

    def __str__(self) -> str:
        """A short table: the answer to each question, then the headline numbers."""
        lines = [self.title, *(f"  {line}" for line in self._answers())]
        numbers = [(name, self.estimate(name)) for name in list(self.values)[:SHOWN_VALUES]]
        width = max((len(name) for name, estimate in numbers if estimate), default=0)
        lines += [f"  {name:<{width}}  {estimate}" for name, estimate in numbers if estimate]
        if len(self.values) > SHOWN_VALUES:
            lines.append(f"  ... {len(self.values) - SHOWN_VALUES} more in .values")
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join([*lines, *(str(part) for part in self.parts)])

    def _answers(self) -> Iterator[str]:
        for finding in self.findings:
            yield f"[{finding.verdict}] {finding.summary}" + (f" {finding.advice}" if finding.advice else "")

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        answers = "".join(f"<li>{html.escape(answer)}</li>" for answer in self._answers())
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(self.estimate(name)))}</td></tr>"
            for name, value in self.values.items()
            if value is not None
        )
        parts = "".join(part._repr_html_() for part in self.parts)
        return f"<b>{html.escape(self.title)}</b><ul>{answers}</ul><table>{rows}</table>{parts}"

    def to_frame(self, rows: Literal["values", "findings", "measurements"] = "values") -> Any:
        """Makes a pandas data frame.

        Args:
            rows: ``values`` for the headline numbers with their intervals, ``findings`` for questions and verdicts,
                ``measurements`` for the raw rows. Parts are included; ``instrument`` says whose a row is.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        pandas = require("pandas", extra="data")
        found: list[dict[str, Any]] = []
        for each in self.walk():
            own = {"instrument": each.instrument}
            if rows == "values":
                estimates = ((name, each.estimate(name)) for name in each.values)
                found += [own | {"name": name} | vars(estimate) for name, estimate in estimates if estimate]
            elif rows == "measurements":
                found += [own | vars(measurement) for measurement in each.measurements]
            else:
                found += [
                    own | {"key": one.key, "question": one.question, "verdict": one.verdict, "summary": one.summary}
                    for one in each.findings
                ]
        return pandas.DataFrame(found)

    def to_json(self, *, indent: int | None = None) -> str:
        """Writes the result as strict JSON, which :meth:`load` reads back exactly."""
        return to_json(self, indent=indent)

    def save(self, path: str | Path) -> Path:
        """Writes the result as a JSON file, whole or not at all.

        Raises:
            InputError: The file cannot be written.
        """
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # By process, so that two that save to one path do not mix.
            partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
            partial.write_text(to_json(self, indent=1), encoding="utf-8")
            partial.replace(target)
        except OSError as error:
            raise InputError(f"cannot write '{path}': {error.strerror}") from error
        return target

    @classmethod
    def load(cls, path: str | Path) -> Result:
        """Reads a result that :meth:`save` or ``--out`` wrote.

        Raises:
            InputError: There is no such file, or it holds no result.
        """
        try:
            return from_json(cls, Path(path).read_bytes())
        except OSError as error:
            raise InputError(f"cannot read '{path}': {error.strerror}: give a result.json") from error


SHOWN_VALUES = 12
"""Headline numbers of a printed result."""

T = TypeVar("T")


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_json(record: object, *, indent: int | None = None) -> str:
    """Writes any record of this module as strict JSON.

    Example:
        >>> from_json(Estimate, to_json(Estimate.exact(2.5))) == Estimate.exact(2.5)
        True
    """
    return _adapter(type(record)).dump_json(record, indent=indent).decode()


def from_json(kind: type[T], text: str | bytes) -> T:
    """Reads a record of this module back.

    Raises:
        InputError: The text is not JSON of that kind.
    """
    try:
        return _adapter(kind).validate_json(text)
    except ValidationError as error:
        try:
            version: Any = json.loads(text).get("schema_version", 0)
        except (ValueError, AttributeError):
            version = 0
        if isinstance(version, int) and version > SCHEMA_VERSION:
            newer = f"a record of schema {version}, this Seqtant reads up to {SCHEMA_VERSION}: upgrade seqtant"
            raise InputError(newer) from error
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the text"
        raise InputError(f"not a valid {kind.__name__}: {where}: {first['msg']}") from error
