"""A Hugging Face model, or any other behind the common interface, writes the solutions of rows."""

from __future__ import annotations

from collections.abc import Sequence

from seqtant.errors import InputError
from seqtant.lm.generation import generate
from seqtant.lm.interface import CausalLM
from seqtant.lm.sampling import Sampling
from seqtant.lm.text import decode, encode
from seqtant.subtasks.rows.layout import ANSWER_MARK, Layout, read_answer, read_steps
from seqtant.subtasks.rows.problem_rows import Row
from seqtant.subtasks.training.row_solving import score_texts
from seqtant.subtasks.training.scores import Scores


def solve_with(model: CausalLM, rows: Sequence[Row], layouts: Sequence[Layout]) -> Scores:
    """Lets a language model complete each prompt greedily and scores the text, line by line.

    Args:
        model: With its tokenizer.
        rows: The rows.
        layouts: How each should be written.

    Raises:
        InputError: The model has no tokenizer, or its tokenizer cannot write line breaks and the answer's mark.
    """
    prompts = encode(model, [layout.prompt for layout in layouts])
    wholes = encode(model, [layout.text for layout in layouts])
    _check_marks(model, layouts[0].completion)
    room = max(len(whole) - len(prompt) for whole, prompt in zip(wholes, prompts, strict=True)) + 8
    if model.context_length is not None:
        room = min(room, model.context_length - max(map(len, prompts)))
    made = generate(model, prompts, max_tokens=max(1, room), sampling=Sampling(temperature=0.0))
    return score_texts(decode(model, [each.tokens for each in made]), rows, layouts)


def _check_marks(model: CausalLM, wanted: str) -> None:
    """A vocabulary without line breaks or the mark makes every answer wrong, however well the model reasons."""
    kept = decode(model, encode(model, [wanted], start=False))[0]
    if (read_answer(kept), len(read_steps(kept))) != (read_answer(wanted), len(read_steps(wanted))):
        raise InputError(
            f"'{model.name}' cannot write rows: its tokenizer loses line breaks or the mark '{ANSWER_MARK.strip()}' "
            "before the answer; give a model whose vocabulary has them"
        )
