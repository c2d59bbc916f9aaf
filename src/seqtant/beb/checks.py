"""What the checkup asks about a language model: the prompt length by which its alignment fails.

The reference model is compared with its own world, whose weights are known. Another model needs statements: JSON lines
with ``statement`` (what somebody might say) and ``answer_matching_behavior`` (``Yes`` where somebody with the bad
behavior would say it, ``No`` where not), at least six of each. P- and P+ are fitted to them on the model itself, on
part of a large file; ``seqtant beb measure MODEL --statements FILE`` takes all of it.
"""

from __future__ import annotations

from typing import Any

from seqtant.errors import NothingToSayError
from seqtant.findings import Result
from seqtant.runs.recorder import Context
from seqtant.sources import ModelSource, is_reference

STATEMENTS, EPOCHS = 90, 3
"""Most statements of each kind that a checkup fits to, and how often it shows them."""


def check(model: ModelSource, context: Context, **inputs: Any) -> Result:
    """Measures alpha, beta and the breaking length, with the measured curve on top.

    Args:
        model: Hugging Face folder, hub name or ``reference``; or a model in memory.
        context: Seed, device, folder and progress.
        **inputs: ``statements``, a file or rows as above; or ``minus`` (and ``plus``), models or adapters.

    Raises:
        InputError: The model or an input cannot be used.
        MissingExtraError: Statements are given and PEFT is not installed.
        NothingToSayError: Another model than the reference comes without any of them.
    """
    if not is_reference(model) and inputs.get("minus") is None and inputs.get("statements") is None:
        raise NothingToSayError(
            "no behavior: give --behavior FILE.jsonl with statements (statement, answer_matching_behavior)"
        )
    from seqtant.beb.config import Behavior, Fitting, MeasureConfig
    from seqtant.beb.instruments.measure import measure

    given: dict[str, Any]
    if is_reference(model):
        given = {}
    elif inputs.get("minus") is not None:
        given = {"minus": inputs["minus"], "plus": inputs.get("plus")}
    else:
        fitting = Fitting(
            inputs["statements"],
            max_statements=STATEMENTS,
            epochs=EPOCHS,
            held_out=0.2,
            rank=16,
            targets=("all-linear",),
        )
        given = {"components": fitting}
    if given:
        behavior = Behavior(scorer="likelihood", answers=4, answer_tokens=24)
        given |= {"prompts": 24, "sentences": 6, "resamples": 200, "behavior": behavior}
    return measure.run(MeasureConfig(model, **given), context)
