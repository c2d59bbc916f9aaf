"""Holds conversations: sentences of P- as the user, the model's own answers between them, turn by turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from seqtant.beb import theory
from seqtant.beb.config import ConverseConfig
from seqtant.beb.estimation.estimates import bootstrap_interval, cumulative_sums, halfway_length
from seqtant.beb.prompts.divergence import compute_evidence
from seqtant.beb.prompts.sampling import Prompt
from seqtant.beb.study.inputs import open_study, title_of, true_log_inverse_alpha
from seqtant.beb.study.measurement import rescore, sample_rates
from seqtant.beb.study.reporting import DIRECTION, LIMITS, finite, prompt_lines, record_alpha, write_transcript
from seqtant.beb.study.summary import Summary, measure_and_summarize
from seqtant.findings import Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb

TALKS = 60
"""Last part of the seed of conversations; twice the turn, plus who speaks, is added."""


@verb(ConverseConfig)
def converse(config: ConverseConfig, context: Context) -> Result:
    """Holds conversations with a model whose user speaks for P-, and follows its behavior turn by turn.

    The user's sentences are sampled from P-, the answers from the model itself; answers from P+ count against the
    attack, at most beta' nats each, so a turn is worth at least beta asked - beta' answered (Theorem 3).

    Returns:
        Turns to the half-way point, nats that a turn brings, predicted and measured, and the weight of P- at the end.

    Raises:
        InputError: A model cannot be opened, P- is missing, or conversations do not fit the context.

    Example:
        >>> found = converse("world", turns=3, asked=2, answered=1, prompts=8, sentences=8, resamples=50)
        >>> [row.step for row in found.series("behavior")]
        [0.0, 1.0, 2.0, 3.0]
    """
    title = f"Conversations with {title_of(config.model)}"
    with Recorder("beb.converse", title, config, context, papers=(3,)) as record:
        study = open_study(config, context)
        _, summary, generator = measure_and_summarize(study, context)
        record_alpha(record, summary, true_log_inverse_alpha(study.config))
        # P- and the model speak in turn; a conversation that no longer fits the context is left out.
        talks = [Prompt(study.opening, len(study.opening), ()) for _ in range(study.config.prompts)]
        for turn in range(config.turns):
            speakers = [(study.minus, config.asked)]
            # After the last question nothing needs to be answered: it is the model's behavior there that is read.
            if config.answered and turn + 1 < config.turns:
                speakers.append((study.model, config.answered))
            for who, (speaker, sentences) in enumerate(speakers):
                heads = [talk.ids for talk in talks]
                sampled = study.sample(speaker, TALKS + 2 * turn + who, openings=heads, sentences=sentences)
                talks = [
                    Prompt(new.ids, talks[row].start, (*talks[row].ends, *new.ends))
                    for new, row in zip(sampled.prompts, sampled.rows, strict=True)
                ]
        # Sentences before the conversation and after the user's part of each turn.
        lengths = (0, *(turn * (config.asked + config.answered) + config.asked for turn in range(config.turns)))
        # P- against P+ along whole conversations, the model's own sentences included.
        (evidence,) = compute_evidence(study.minus, [study.plus], talks, floor=config.floor)
        behavior, bottom = (study.reader.curve(model, talks, lengths) for model in (study.model, study.minus))
        # Turns after which the behavior has come half the way to that of P-.
        count, check, turns = len(talks), study.reader.check, range(config.turns + 1)
        resampled = []
        for _ in range(config.resamples):
            rows, rates = generator.integers(count, size=count), sample_rates(check, generator)
            curve = rescore(check, behavior[rows], rates).mean(axis=0)
            resampled.append(halfway_length(curve, float(rescore(check, bottom[rows], rates).mean()), turns))
        half = halfway_length(behavior.mean(axis=0), float(bottom.mean()), turns)
        halfway = bootstrap_interval(half, resampled, count, "turns", check)
        _record(record, config, lengths, evidence.log_ratio, behavior, summary, halfway)
        write_transcript(record, study, prompt_lines(study, talks, turns=config.turns))
    return record.result


def _record(
    record: Recorder,
    config: ConverseConfig,
    lengths: Sequence[int],
    log_ratio: Float[np.ndarray, "talks sentences"],
    behavior: Float[np.ndarray, "talks lengths"],
    summary: Summary,
    halfway: Estimate,
) -> None:
    sums = cumulative_sums(log_ratio)[:, list(lengths)]
    log_alpha = -max(summary.alpha.log_inverse_alpha, 1e-9)
    weight = None if summary.refused else theory.bad_weight(log_alpha, sums)
    beta, beta_prime = (float(summary.estimates[name].value) for name in ("beta", "beta_prime"))
    drift = theory.conversation_drift(max(beta, 1e-9), beta_prime, config.asked, config.answered or 1e-12)
    # A whole turn, answer included, lies between the first two questions; with one turn there is only the question.
    first = sums[:, 2] - sums[:, 1] if config.turns > 1 else sums[:, 1]
    gained = float(first.mean())
    record.value("turns_halfway", finite(halfway.value))
    record.value("drift_predicted", drift)
    record.value("drift_measured", gained)
    record.value("bad_weight_last", None if weight is None else float(weight[:, -1].mean()))
    rows = []
    for turn, length in enumerate(lengths):
        mean, heavy = float(behavior[:, turn].mean()), None if weight is None else float(weight[:, turn].mean())
        shown = None if heavy is None else round(heavy, 4)
        rows.append((turn, length, round(mean, 4), shown, round(float(sums[:, turn].mean()), 3)))
        record.measure("behavior", mean, step=turn)
        if heavy is not None:
            record.measure("bad_weight", heavy, step=turn)
    columns = ("turn", "sentences so far", "behavior", "weight of P-", "log-ratio, nats")
    record.table("turns", "After so many turns of the user", columns, rows, note=DIRECTION)
    there = finite(halfway.value) is not None
    words = f"After {halfway.number}" if there else f"Not within {config.turns} turns"
    record.finding(
        "conversation",
        f"After how many turns ({config.asked} sentences, {config.answered} answered) is the behavior half way down?",
        "agrees" if (drift > 0) == there else "inconclusive",
        f"{words}. While the model still answers from P+ a turn is worth {drift:.2f} nats at "
        f"worst; between the first turns {gained:.2f} were gained on average.",
        measured=halfway if there else None,
        assumptions=LIMITS,
        advice="Answers of the model count against the attack, until they come from P- themselves.",
    )
