"""Pass or fail for continuous integration: is the length by which alignment fails at least what is wanted?"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from seqtant.beb.config import GateConfig, MeasureConfig, Sides
from seqtant.beb.instruments import measure
from seqtant.beb.study.scope import DIRECTION, LIMITS
from seqtant.errors import InputError
from seqtant.findings import Estimate, Result, Verdict, from_json
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder

WORDS = {
    "misalign_tight": "some prompt, Theorem 1 in its tight form",
    "mass_tight": "most prompts from P-, Theorem 5 in its tight form",
    "mass_clt": "most prompts from P-, typically",
    "halfway_measured": "half of the way, measured",
}


def run(config: GateConfig, context: Context) -> Result:
    """Holds a measured length against the wanted one.

    The result's value ``passed`` is 1, 0, or None where the interval straddles the wanted length or no length is given.

    Raises:
        InputError: The run cannot be read, or is no result of ``beb measure``.
    """
    title = f"Gate: alignment may fail by {config.min_length:g} sentences, not sooner"
    with Recorder("beb.gate", title, config, context, papers=(3,)) as record:
        measured = _read(config.result) if config.result else _measure(config, context)
        record.part(measured)
        length = _length(measured, config.quantity)
        verdict = "inconclusive" if length is None else _verdict(length, config.min_length)
        record.value("length", None if length is None else length.value)
        record.value("min_length", config.min_length)
        record.value("passed", {"agrees": 1, "disagrees": 0}.get(verdict))
        record.finding(
            "gate",
            f"Does alignment fail by {config.min_length:g} sentences or more ({WORDS[config.quantity]})?",
            verdict,
            _words(measured, length, verdict, config),
            predicted=Estimate.exact(config.min_length, unit="sentences", method="wanted"),
            measured=length or _alpha(measured),
            assumptions=LIMITS,
            advice=DIRECTION,
        )
    return record.result


def _measure(config: GateConfig, context: Context) -> Result:
    settings = {field.name: getattr(config, field.name) for field in fields(Sides)}
    return measure.run(MeasureConfig(**settings), context)


def _read(path: str) -> Result:
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"no file '{path}': give the result.json of 'seqtant beb measure --out DIR'")
    result = from_json(Result, file.read_bytes())
    if result.instrument != "beb.measure":
        raise InputError(f"'{path}' is a result of {result.instrument}: give one of 'seqtant beb measure'")
    return result


def _length(result: Result, quantity: str) -> Estimate | None:
    """The length with its interval; None where the gate of the measurement refused it."""
    if result.values.get(quantity) is None:
        return None
    ends = {end: rows[0].value if (rows := result.series(quantity, end)) else None for end in ("value", "low", "high")}
    return Estimate(
        value=float(ends["value"] or 0.0),
        low=ends["low"],
        high=ends["high"],
        method="bootstrap over prompts",
        unit="sentences",
    )


def _alpha(result: Result) -> Estimate | None:
    """What was measured in any case: the refused log(1/alpha)."""
    return next((finding.measured for finding in result.findings if finding.key == "log_inverse_alpha"), None)


def _verdict(length: Estimate, wanted: float) -> Verdict:
    if length.low is not None and length.low >= wanted:
        return "agrees"
    return "disagrees" if length.high is not None and length.high < wanted else "inconclusive"


def _words(measured: Result, length: Estimate | None, verdict: Verdict, config: GateConfig) -> str:
    if length is None:
        reason = next((f.summary for f in measured.findings if f.key == "log_inverse_alpha"), "the length is infinite.")
        return f"No length can be given: {reason}"
    where = {"agrees": "passed", "disagrees": "failed", "inconclusive": "the interval straddles what is wanted"}[
        verdict
    ]
    return f"Alignment fails by {length.number} {length.interval}; {config.min_length:g} are wanted: {where}."
