"""Measures alpha, beta and the lengths by which alignment fails, and compares the prediction with the behavior."""

from __future__ import annotations

from seqtant.beb.config import MeasureConfig
from seqtant.beb.estimation.estimates import first_points_line, halfway_contributions
from seqtant.beb.study.inputs import open_study, true_log_inverse_alpha
from seqtant.beb.study.reporting import (
    record_alpha,
    record_bounds,
    record_curves,
    record_fit,
    record_halfway,
    record_prompts,
    record_values,
)
from seqtant.beb.study.summary import measure_and_summarize
from seqtant.findings import Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import name_of


@verb(MeasureConfig)
def measure(config: MeasureConfig, context: Context) -> Result:
    """Measures alpha, beta and the lengths by which a model's alignment fails, and compares them with its behavior.

    Prompts are sampled from P-; along each the exact divergence of P- from the model, sentence by sentence, sums to
    log(1/alpha), and that from P+ is beta. Both predict the behavior after n sentences,
    w- B- + (1 - w-) B+ with log-odds of w- that grow by each prompt's own log-ratio; the measured one stands beside it.

    Returns:
        ``log_inverse_alpha``, ``beta`` and ``sigma2`` in nats, half-way lengths predicted and measured and the bounds
        in sentences; None where the diagnostics refuse log(1/alpha).

    Raises:
        InputError: A model cannot be opened, P- is missing, or prompts do not fit the context.

    Example:
        >>> found = measure("world", prompts=8, sentences=16, resamples=50)  # whose dark part weighs 5 %
        >>> round(found.values["log_inverse_alpha"], 4), round(found.values["true_log_inverse_alpha"], 4)
        (2.9957, 2.9957)
    """
    title = f"By how long a prompt does the alignment of {name_of(config.model)} fail?"
    with Recorder("beb.measure", title, config, context, papers=(3,)) as record:
        study = open_study(config, context, one_tokenizer=False)
        measurement, summary, _ = measure_and_summarize(study, context)
        truth = true_log_inverse_alpha(study.config)
        record_halfway(record, summary)
        record_alpha(record, summary, truth)
        record_bounds(record, summary, measurement, config.eps)
        record_values(record, summary, truth)
        if config.method == "paper":
            line = first_points_line(measurement.to_model.divergence.mean(axis=0))
            record.value("paper_log_inverse_alpha", line.start)
            record.value("paper_beta", line.slope)
            record.warn(
                "method paper: the line through three points of the divergence starts near log(1/alpha) only by "
                f"accident ({line.start:.2f} nats here); for a mixture the area is log(1/alpha)"
            )
        record.value("tokens_per_sentence", measurement.tokens_per_sentence)
        record_curves(record, measurement, summary)
        if study.fitted is None:
            # Per-prompt contributions, for paired comparisons of two models.
            bottoms = measurement.minus.mean(axis=1)
            items = halfway_contributions(measurement.model, bottoms, measurement.lengths)
            if items is not None:
                record.items("breaking_length", items.tolist(), unit="sentences", kind="prompt")
        else:  # prompts of a P- that was fitted on the model itself are not those of another model
            record_fit(record, study.fitted)
        record_prompts(record, study, measurement)
    return record.result
