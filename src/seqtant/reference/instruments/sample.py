"""Draws documents from the model or from the world, to be read by people."""

from __future__ import annotations

import numpy as np
import torch

from seqtant.errors import InputError
from seqtant.findings import Result
from seqtant.lm.generation import Sampling, generate
from seqtant.lm.loading import load
from seqtant.reference.config import SampleConfig
from seqtant.reference.instruments.check import same_words
from seqtant.reference.oracle import WorldLM
from seqtant.reference.world.documents import EOS_ID
from seqtant.reference.world.world import reference_world
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb


@verb(SampleConfig)
def sample_documents(config: SampleConfig, context: Context) -> Result:
    """Samples documents.

    Raises:
        InputError: The prompt holds an unknown word, is longer than asked for, or cannot begin a document of the world.
    """
    with Recorder("reference.sample", f"Documents of the {config.source}", config, context) as record:
        world = reference_world()
        prompt = world.encode(config.prompt)
        if len(prompt) > config.tokens:
            raise InputError(
                f"the prompt has {len(prompt)} tokens and 'tokens' is {config.tokens}: ask for more tokens"
            )
        if config.source == "model":
            speaker = load(config.model, device=context.device)
            same_words(speaker, world)
        elif config.temperature != 1:
            raise InputError(f"the world knows only temperature 1, not {config.temperature:g}")
        else:
            world.next_token_log_probs(prompt)  # refuses a prompt that cannot begin a document
            speaker = WorldLM(world)
        made = generate(
            speaker,
            [prompt] * config.count,
            max_tokens=max(1, config.tokens - len(prompt)),
            sampling=Sampling(temperature=config.temperature),
            generator=torch.Generator().manual_seed(context.seed),
            stop_ids=[EOS_ID],
        )
        rows = []
        for number, line in enumerate(made, start=1):
            words = world.words([token for token in (*prompt[1:], *line.tokens) if token != EOS_ID])
            possible = world.log_prob([*prompt, *line.tokens])
            rows.append((number, words, None if np.isinf(possible) else possible))
        record.table("documents", "Documents", ("number", "text", "log-probability in the world"), rows)
        record.value("documents", len(rows))
        record.value("possible", sum(row[2] is not None for row in rows))
    return record.result
