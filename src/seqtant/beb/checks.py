"""What the checkup asks about a language model: the prompt length by which its alignment fails.

The reference model is compared with its own world, whose weights are known. Another model needs a behavior: a file of
JSON lines with ``statement`` (what somebody might say) and ``answer_matching_behavior`` (``Yes`` where somebody with
the bad behavior would say it, ``No`` where not), at least six of each. P- and P+ are fitted to them on the model
itself, on part of a large file; ``seqtant beb measure MODEL --behavior FILE`` takes all of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from seqtant.beb.config import Behavior, MeasureConfig
from seqtant.beb.fitting_settings import Fitting
from seqtant.errors import NothingToSayError
from seqtant.findings import Result
from seqtant.lm.folder import REFERENCE
from seqtant.rooms import dispatch
from seqtant.runs.context import Context

STATEMENTS, EPOCHS = 90, 3
"""Most statements of each kind that a checkup fits to, and how often it shows them."""


def check(model: str, context: Context, **inputs: Any) -> Result:
    """Measures alpha, beta and the breaking length, with the measured curve on top.

    Args:
        model: Hugging Face folder, hub name or ``reference``.
        context: Seed, device, folder and progress.
        **inputs: ``statements`` or ``behavior``, a file as above; or ``minus`` (and ``plus``), folders of models or
            adapters.

    Raises:
        InputError: The model or an input cannot be used.
        MissingExtraError: Statements are given and PEFT is not installed.
        NothingToSayError: Another model than the reference comes without any of them.
    """
    if model == REFERENCE:
        return dispatch(MeasureConfig(), context)
    behavior = Behavior(scorer="likelihood", answers=4, answer_tokens=24)
    small = MeasureConfig(model=model, prompts=24, sentences=6, resamples=200, behavior=behavior)
    if inputs.get("minus") is not None:
        return dispatch(replace(small, minus=inputs["minus"], plus=inputs.get("plus")), context)
    statements = inputs.get("statements") or inputs.get("behavior")
    if statements is None:
        raise NothingToSayError(
            "no behavior: give --behavior FILE.jsonl with statements (statement, answer_matching_behavior)"
        )
    fitting = Fitting(
        behavior=statements, statements=STATEMENTS, epochs=EPOCHS, held_out=0.2, rank=16, targets=("all-linear",)
    )
    return dispatch(replace(small, components=fitting), context)
