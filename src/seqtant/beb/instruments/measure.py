"""Measures alpha, beta and the lengths by which alignment fails, and holds the prediction against the behavior."""

from __future__ import annotations

import numpy as np

from seqtant.beb.components.fit import record_fit
from seqtant.beb.config import MeasureConfig
from seqtant.beb.estimation.paper_fits import first_points_line
from seqtant.beb.study.components_study import open_study
from seqtant.beb.study.measurement import observe
from seqtant.beb.study.reporting import (
    record_alpha,
    record_bounds,
    record_curves,
    record_halfway,
    record_items,
    record_values,
    warn_of,
    warn_of_tokenizers,
)
from seqtant.beb.study.summary import summarize
from seqtant.beb.study.transcript import prompt_lines, write_transcript
from seqtant.beb.study.truth import true_log_inverse_alpha
from seqtant.findings import Result
from seqtant.lm.folder import name_of
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder

RESAMPLES = 43
"""Last part of the seed of the resamples."""


def run(config: MeasureConfig, context: Context) -> Result:
    """Measures one model.

    Raises:
        InputError: A side cannot be opened, prompts do not fit, or a divergence is infinite.
    """
    title = f"By how long a prompt does the alignment of {name_of(config.model)} fail?"
    with Recorder("beb.measure", title, config, context, papers=(3,)) as record:
        study = open_study(config, context, one_tokenizer=False)
        observed = observe(study, context)
        summary = summarize(observed, study.config, np.random.default_rng([context.seed, RESAMPLES]))
        truth = true_log_inverse_alpha(study.config)
        record_halfway(record, summary)
        record_alpha(record, summary, truth)
        record_bounds(record, summary, observed, config.eps)
        record_values(record, summary, truth)
        if config.method == "paper":
            line = first_points_line(observed.to_model.divergence.mean(axis=0))
            record.value("paper_log_inverse_alpha", line.start)
            record.value("paper_beta", line.slope)
            record.warn(
                "method paper: the line through three points of the divergence starts near log(1/alpha) only by "
                f"accident ({line.start:.2f} nats here); for a mixture the area is log(1/alpha)"
            )
        record.value("tokens_per_sentence", observed.tokens_per_sentence)
        record_curves(record, observed, summary)
        if study.fitted is None:
            record_items(record, observed)
        else:  # prompts of a P- that was fitted on the model itself are not those of another model
            record_fit(record, study.fitted)
        warn_of(record, observed, own_plus=observed.own_plus is not None)
        warn_of_tokenizers(record, study)
        write_transcript(record, study, prompt_lines(study, observed.prompts))
    return record.result
