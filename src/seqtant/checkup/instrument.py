"""The door of the checkup: one model or two, and limits on what is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from seqtant.checkup.comparison import check_both
from seqtant.checkup.config import CheckupConfig
from seqtant.checkup.gates import findings, read_gates
from seqtant.checkup.single import check_model
from seqtant.findings import Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder


def run(config: CheckupConfig, context: Context | None = None) -> Result:
    """Runs a checkup.

    Args:
        config: One model, or two with ``compare``.
        context: Seed, device, folder, progress.

    Returns:
        A composite result; see :func:`seqtant.checkup.single.check_model` and
        :func:`seqtant.checkup.comparison.check_both`.

    Raises:
        InputError: A model or a file cannot be used, or no instrument is left.
    """
    context = context or Context()
    return check_model(config, context) if config.compare is None else check_both(config, context)


def gated(path: Path | None) -> Callable[[CheckupConfig, Context], Result]:
    """The checkup with limits: their findings become its last part.

    Args:
        path: File of limits, read before anything is run; None sets none.
    """
    if path is None:
        return run
    gates = read_gates(path)

    def run_and_judge(config: CheckupConfig, context: Context) -> Result:
        result = run(config, context)
        with Recorder("checkup.gate", "Gates", config, context) as record:
            for each in findings(gates, result):
                record.add(each)
        return replace(result, parts=(*result.parts, record.result))

    return run_and_judge
