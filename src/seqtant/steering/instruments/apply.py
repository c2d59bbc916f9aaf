"""Generates with and without steering from the same prompts and the same seeds, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Result
from seqtant.lm.generation import Sampling
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import REFERENCE, is_path, read_lines, text_of
from seqtant.steering.applying.generation import generate_replies
from seqtant.steering.config import ApplyConfig
from seqtant.steering.inputs import mood_questions, open_model, open_vector, title_of


@verb(ApplyConfig)
def generate_side_by_side(config: ApplyConfig, context: Context) -> Result:
    """Generates a reply to every prompt without and with steering, from the same random numbers.

    Returns:
        A table of the replies side by side; how many of them changed; and for both sides the coherence (mean
        log-probability per token, in nats, under the model without steering) and the share of distinct token pairs.

    Raises:
        InputError: There is no prompt, or something cannot be read.

    Example:
        >>> said = generate_side_by_side(prompt="talk : how are you ?", strength=40.0, tokens=4, max_pairs=16)
        >>> said.values["prompts"], said.tables[0].columns[:3]
        (1, ('prompt', 'without', 'with'))
    """
    title = f"Steered replies of {title_of(config.model)}"
    with Recorder("steering.apply", title, config, context, papers=(1,)) as record:
        prompts, further = list(config.prompt), config.prompts_file
        if further is not None and (not is_path(further) or str(further).endswith(".jsonl")):
            prompts += [text_of(line, "prompt", place) for place, line in read_lines(further, fields=("prompt",))]
        elif further is not None:
            path = Path(further)
            if not path.is_file():
                raise InputError(f"no file '{path}': give prompts, one a line or as JSON lines")
            prompts += [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        if not prompts and title_of(config.model) != REFERENCE:
            raise InputError("no prompt: give one or more with --prompt TEXT, or --prompts-file FILE")
        # The reference model has prompts of its own.
        prompts = prompts or [item.prompt for item in mood_questions(4, np.random.default_rng([context.seed, 12]))]
        model = open_model(config, context)
        vector = open_vector(config, model, context)
        replies = generate_replies(
            model,
            vector,
            prompts,
            [0.0, config.strength],
            tokens=config.tokens,
            positions=config.positions,
            keep_norm=config.keep_norm,
            sampling=Sampling(temperature=config.temperature),
            seeds=[context.seed * 1_000_003 + number for number in range(len(prompts))],
            progress=context.progress,
        )
        # Prompt by prompt, in the order of the strengths.
        plain, steered = replies[0::2], replies[1::2]
        record.value("prompts", len(prompts))
        record.value("changed", sum(before.text != after.text for before, after in zip(plain, steered, strict=True)))
        for name, own in (("plain", plain), ("steered", steered)):
            record.value(f"coherence_{name}", float(np.mean([reply.log_prob for reply in own])))
            record.value(f"distinct_{name}", float(np.mean([reply.distinct for reply in own])))
        record.table(
            "replies",
            "Replies without and with steering",
            ("prompt", "without", "with", "coherence without", "coherence with"),
            [
                (prompt, before.text, after.text, round(before.log_prob, 3), round(after.log_prob, 3))
                for prompt, before, after in zip(prompts, plain, steered, strict=True)
            ],
            note="Coherence is the mean log-probability per token, in nats, under the model without steering.",
        )
    return record.result
