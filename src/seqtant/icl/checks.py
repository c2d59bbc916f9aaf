"""What the checkup asks about in-context learning: how many shots a language model's tasks need."""

from __future__ import annotations

from typing import Any

from seqtant.errors import NothingToSayError
from seqtant.findings import Result
from seqtant.icl.config import ShotsConfig, knows_games
from seqtant.runs.recorder import Context
from seqtant.sources import ModelSource


def check(model: ModelSource, context: Context, **inputs: Any) -> Result:
    """Predicts and measures shots.

    The reference model is shown the games of its own world, whose truth is known. Another model is shown the user's
    tasks: ``tasks``, two files of examples or more, registered names, or tasks in memory.

    Raises:
        InputError: The model or a task cannot be used.
        NothingToSayError: The model is not the reference, and fewer than two tasks are given.
    """
    tasks = tuple(inputs.get("tasks") or ())
    if len(tasks) < 2 and (tasks or not knows_games(model)):
        raise NothingToSayError(
            f"{len(tasks)} tasks are given: give two or more with --tasks, lines of 'input' and 'label', a hundred each"
        )
    from seqtant.icl.instruments.shots import shots

    return shots.run(ShotsConfig(model, tasks, contexts=2, prompts=120, resamples=300), context)
