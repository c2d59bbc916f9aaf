"""``seqtant checkup``: parses, calls, prints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from seqtant.checkup.config import CheckupConfig
from seqtant.commandline.execute import execute
from seqtant.commandline.options import DEFAULT, Options
from seqtant.errors import InputError

DEFAULT_FOLDER = Path("seqtant-checkup")

Names = Annotated[tuple[str, ...] | None, Parameter(negative="")]


def checkup(
    model: str | None = None,
    /,
    *,
    compare: Annotated[tuple[str, str] | None, Parameter(negative="")] = None,
    behavior: str | None = None,
    tasks: Names = None,
    corpus: Names = None,
    budget: float | None = None,
    gate: Path | None = None,
    only: Names = None,
    skip: Names = None,
    options: Options = DEFAULT,
) -> None:
    """Run every instrument that applies to a causal language model and write one report.

    Exit code 1 if a section or a gate fails, 3 if a gate cannot be told.

    Parameters
    ----------
    model
        Hugging Face folder, hub name, or 'reference' for the model that ships (default).
    compare
        Two models, before and after, in place of one: --compare BEFORE AFTER.
    behavior
        JSON lines: statements, contrast pairs, prompts with good and bad replies, questions.
    tasks
        JSON lines: labeled examples, questions, problems with steps (may be repeated).
    corpus
        Text of your own (may be repeated).
    budget
        Share of helpfulness that steering may cost.
    gate
        YAML file of limits, such as 'beb: {halfway_measured: {least: 3}}'.
    only
        Run this instrument only (may be repeated).
    skip
        Leave this instrument out (may be repeated).
    """
    if model is not None and compare is not None:
        raise InputError(f"both '{model}' and --compare are given: name one model, or two behind --compare")
    from seqtant.checkup.gates import judge
    from seqtant.checkup.instrument import gated

    result = execute(
        CheckupConfig,
        replace(options, out=options.out or DEFAULT_FOLDER),
        run=gated(gate),
        model=model,
        compare=compare,
        behavior=behavior,
        tasks=tasks,
        corpus=corpus,
        budget=budget,
        only=only,
        skip=skip,
    )
    if result is not None:
        judge(result)
