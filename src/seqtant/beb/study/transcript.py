"""Keeps what was asked and said as JSON lines; texts of prompts only where the user wants them written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from seqtant.beb.prompts.sampling import Prompt
from seqtant.beb.study.components_study import Study
from seqtant.lm.text import decode
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Recorder

NAME = "transcript.jsonl"


def prompt_lines(study: Study, prompts: Sequence[Prompt], **more: object) -> list[dict[str, object]]:
    """One line per prompt: its number and length, and its text if texts are written.

    Args:
        study: Whose prompts they are.
        prompts: The prompts.
        **more: Said of each of them.
    """
    texts = decode(study.minus, [prompt.ids for prompt in prompts]) if study.config.write_prompts else None
    return [
        {
            "prompt": number,
            "sentences": len(prompt.ends),
            "tokens": len(prompt.ids),
            **more,
            **({"text": texts[number]} if texts else {}),
        }
        for number, prompt in enumerate(prompts)
    ]


def write_transcript(record: Recorder, study: Study, lines: Sequence[Mapping[str, object]]) -> None:
    """Writes prompts, answers and scores into the run's folder, if it has one."""
    folder = record.context.folder
    if folder is None:
        return
    answers = getattr(study.reader, "kept", [])
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in [*lines, *answers])
    write_text(folder / NAME, text)
    record.artifact(folder / NAME, "transcript")
