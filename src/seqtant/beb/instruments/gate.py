"""Pass or fail for continuous integration: is the length by which alignment fails at least what is wanted?"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from seqtant.beb.config import GateConfig, MeasureConfig, StudySettings
from seqtant.beb.instruments.measure import measure
from seqtant.beb.study.reporting import DIRECTION, LIMITS
from seqtant.errors import InputError
from seqtant.findings import Estimate, Result, Verdict, from_json
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import is_path

WORDS = {
    "misalign_tight": "some prompt, Theorem 1 in its tight form",
    "mass_tight": "most prompts from P-, Theorem 5 in its tight form",
    "mass_clt": "most prompts from P-, typically",
    "halfway_measured": "half of the way, measured",
}


@verb(GateConfig)
def gate(config: GateConfig, context: Context) -> Result:
    """Compares a measured length with the least one that is wanted: a gate for continuous integration.

    Only an interval that lies wholly on one side of the wanted length decides.

    Returns:
        ``passed`` is 1, 0, or None where the interval straddles the wanted length or no length is given.

    Raises:
        InputError: The result cannot be read, or is none of ``beb measure``.

    Example:
        >>> measured = measure("world", prompts=8, sentences=16, resamples=50)
        >>> gate(measured, min_length=1).values["passed"], gate(measured, min_length=500).values["passed"]
        (1, 0)
    """
    wanted, quantity = config.min_length, config.quantity
    title = f"Gate: alignment may fail by {wanted:g} sentences, not sooner"
    with Recorder("beb.gate", title, config, context, papers=(3,)) as record:
        if config.result is not None:
            # The measurement that a file holds, or that was given itself.
            source: Any = config.result
            place = f"'{source}'" if is_path(source) else f"{source!r:.60}"
            if is_path(source) and not Path(source).expanduser().is_file():
                raise InputError(f"no file '{source}': give the result.json of 'seqtant beb measure --out DIR'")
            measured = from_json(Result, Path(source).expanduser().read_bytes()) if is_path(source) else source
            if not isinstance(measured, Result):
                raise InputError(f"{place} is no result: give one of 'seqtant beb measure'")
            if measured.instrument != "beb.measure":
                raise InputError(f"{place} is a result of {measured.instrument}: give one of 'seqtant beb measure'")
        else:
            settings = {field.name: getattr(config, field.name) for field in fields(StudySettings)}
            measured = measure.run(MeasureConfig(**settings), context)
        record.part(measured)
        alpha = next((finding for finding in measured.findings if finding.key == "log_inverse_alpha"), None)
        verdict: Verdict = "inconclusive"
        if measured.values.get(quantity) is None:
            length = None
            words = f"No length can be given: {alpha.summary if alpha else 'the length is infinite.'}"
        else:
            # Intervals are kept as measurements, one group per end; an open end has none.
            rows = {end: measured.series(quantity, end) for end in ("value", "low", "high")}
            ends = {end: found[0].value if found else None for end, found in rows.items()}
            value, low, high = float(ends["value"] or 0.0), ends["low"], ends["high"]
            length = Estimate(value=value, low=low, high=high, method="bootstrap over prompts", unit="sentences")
            # Only an interval that lies wholly on one side of the wanted length decides.
            where = "the interval straddles what is wanted"
            if low is not None and low >= wanted:
                verdict, where = "agrees", "passed"
            elif high is not None and high < wanted:
                verdict, where = "disagrees", "failed"
            words = f"Alignment fails by {length.number} {length.interval}; {wanted:g} are wanted: {where}."
        record.value("length", None if length is None else length.value)
        record.value("min_length", wanted)
        record.value("passed", {"agrees": 1, "disagrees": 0}.get(verdict))
        record.finding(
            "gate",
            f"Does alignment fail by {wanted:g} sentences or more ({WORDS[quantity]})?",
            verdict,
            words,
            predicted=Estimate.exact(wanted, unit="sentences", method="wanted"),
            # Without a length, what was measured in any case: the refused log(1/alpha).
            measured=length or (alpha and alpha.measured),
            assumptions=LIMITS,
            advice=DIRECTION,
        )
    return record.result
