"""Whether a model was trained at all: a random network gets no verdicts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from seqtant._checkup.inputs import Inputs
from seqtant.errors import SeqtantError
from seqtant.findings import Estimate
from seqtant.lm.interface import encode
from seqtant.lm.loading import load
from seqtant.lm.scoring import token_log_probs
from seqtant.runs.recorder import Context, Recorder
from seqtant.sources import ModelSource, read_lines
from seqtant.stats.intervals import mean

TEXTS, TOKENS = 32, 64
"""Most texts of the user's that are scored, and tokens of each."""

ROWS, LONGEST = 400, 2000
"""Most rows of a file that are looked at, and characters of a document."""

ABOUT = (0.97, 1.05)
"""Range of loss over log V that is guessing: a trained model may do worse, on texts that are foreign to it."""


def is_untrained(model: ModelSource, inputs: Inputs, context: Context, record: Recorder) -> bool:
    """Compares the loss on the user's own texts with log V, what guessing evenly among V tokens loses.

    Records a finding where the loss is about log V.
    """
    texts = list(texts_of(inputs.given))
    # Every so many, so that all files have their say.
    chosen = texts[:: max(1, len(texts) // TEXTS)][:TEXTS]
    try:
        loaded = load(model, device=context.device, shared=True)
    except SeqtantError:
        return False  # every section will say so, each with what it could do without
    ids = [line[:TOKENS] for line in encode(loaded, chosen) if len(line) > 1]
    if not ids:
        return False
    losses = -torch.cat(token_log_probs(loaded, ids)).numpy()
    loss, guessing = mean(losses, unit="nats per token"), math.log(loaded.vocabulary_size)
    if loss.value is None or not ABOUT[0] <= loss.value / guessing <= ABOUT[1]:
        return False
    record.finding(
        "trained",
        "Was this model trained?",
        "disagrees",
        f"It reads your texts like a random network: {loss.value:.2f} nats per token, where guessing evenly among "
        f"{loaded.vocabulary_size:,} tokens loses {guessing:.2f}. Nothing else is asked of it.",
        predicted=Estimate.exact(guessing, unit="nats per token", method="log V"),
        measured=loss,
        advice="Give the trained checkpoint, with the tokenizer that it was trained with.",
    )
    return True


def texts_of(given: Mapping[str, Any]) -> Iterator[str]:
    """Texts of the user's: a few hundred of each file of rows, and beginnings of documents of the corpus."""
    for name, paths in given.items():
        if name == "corpus":
            from seqtant.pretraining.corpus.readers import open_corpus

            yield from (document[:LONGEST] for document in itertools.islice(open_corpus(paths), ROWS))
            continue
        for path in (paths,) if isinstance(paths, str) else paths:
            for _, row in itertools.islice(read_lines(path), ROWS):
                # A label alone says little of a model; a few words do.
                yield from (each for each in row.values() if isinstance(each, str) and len(each) > 20)
