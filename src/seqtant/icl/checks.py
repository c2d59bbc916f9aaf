"""What the checkup asks this room about a language model: how many shots its tasks need."""

from __future__ import annotations

from typing import Any

from seqtant.errors import NothingToSayError
from seqtant.findings import Result
from seqtant.lm.folder import REFERENCE
from seqtant.rooms import config_type, dispatch
from seqtant.runs.context import Context


def check(model: str, context: Context, **inputs: Any) -> Result:
    """Predicts and measures shots.

    The reference model is shown the games of its own world, whose truth is known. Another model is shown the user's
    tasks.

    Args:
        model: Hugging Face folder, hub name or ``reference``.
        context: Seed, device, folder and progress.
        **inputs: ``tasks``: two files of examples or more, or registered names.

    Raises:
        InputError: The model or a task cannot be used.
        NothingToSayError: The model is not the reference, and fewer than two tasks are given.
    """
    tasks = tuple(inputs.get("tasks") or ())
    if len(tasks) < 2 and (tasks or model != REFERENCE):
        raise NothingToSayError(
            f"{len(tasks)} tasks are given: give two or more with --tasks, lines of 'input' and 'label', a hundred each"
        )
    config = config_type("icl.shots")(model=model, tasks=tasks, contexts=2, prompts=120, resamples=300)
    return dispatch(config, context)
