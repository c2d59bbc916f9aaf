"""Holds conversations: sentences of P- as the user, the model's own answers between them, turn by turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from seqtant.beb import theory
from seqtant.beb.config import ConverseConfig
from seqtant.beb.estimation.curves import halfway_of, sums_so_far
from seqtant.beb.estimation.intervals import interval
from seqtant.beb.instruments.measure import RESAMPLES
from seqtant.beb.prompts.divergence import gather
from seqtant.beb.prompts.sampling import Prompt, draw_prompts
from seqtant.beb.study.components_study import Study, open_study
from seqtant.beb.study.measurement import draw_rates, observe, rescored
from seqtant.beb.study.reporting import finite, record_alpha
from seqtant.beb.study.scope import DIRECTION, LIMITS
from seqtant.beb.study.summary import Summary, summarize
from seqtant.beb.study.transcript import prompt_lines, write_transcript
from seqtant.beb.study.truth import true_log_inverse_alpha
from seqtant.findings import Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder

TALKS = 60
"""Last part of the seed of conversations; twice the turn, plus who speaks, is added."""


@dataclass(frozen=True)
class Talks:
    """Conversations, all of the same number of turns."""

    prompts: tuple[Prompt, ...]
    """Each with the ends of all its sentences, the user's and the model's."""
    turns: int
    asked: int
    answered: int

    @property
    def places(self) -> tuple[int, ...]:
        """Number of sentences before the conversation and after the user's part of each turn."""
        step = self.asked + self.answered
        return (0, *(turn * step + self.asked for turn in range(self.turns)))


def run(config: ConverseConfig, context: Context) -> Result:
    """Holds the conversations and follows the weight of P- and the behavior.

    Raises:
        InputError: A side cannot be opened, or the conversations do not fit the context.
    """
    title = f"Conversations with {config.model}"
    with Recorder("beb.converse", title, config, context, papers=(3,)) as record:
        study = open_study(config, context)
        observed = observe(study, context)
        generator = np.random.default_rng([context.seed, RESAMPLES])
        summary = summarize(observed, study.config, generator)
        record_alpha(record, summary, true_log_inverse_alpha(study.config))
        talks = converse(study, config)
        (evidence,) = gather(study.minus, [study.plus], talks.prompts, floor=config.floor)
        behavior = study.reader.curve(study.model, talks.prompts, talks.places)
        bottom = study.reader.curve(study.minus, talks.prompts, talks.places)
        halfway = _halfway(study, talks, behavior, bottom, generator)
        _record(record, config, talks, evidence.log_ratio, behavior, summary, halfway)
        write_transcript(record, study, prompt_lines(study, talks.prompts, turns=talks.turns))
    return record.result


def converse(study: Study, config: ConverseConfig) -> Talks:
    """Lets both speak in turn; a conversation that no longer fits the context is left out.

    Raises:
        InputError: More than half of the conversations do not fit.
    """
    talks = [Prompt(study.opening, len(study.opening), ()) for _ in range(config.prompts)]
    for turn in range(config.turns):
        speakers = [(study.minus, config.asked)]
        # After the last question nothing needs to be answered: it is the model's behavior there that is read.
        if config.answered and turn + 1 < config.turns:
            speakers.append((study.model, config.answered))
        for who, (speaker, sentences) in enumerate(speakers):
            drawn = draw_prompts(
                speaker,
                [talk.ids for talk in talks],
                sentences,
                study.splitter,
                generator=study.generator(TALKS + 2 * turn + who),
                room=study.room,
            )
            talks = [
                Prompt(new.ids, talks[row].start, (*talks[row].ends, *new.ends))
                for new, row in zip(drawn.prompts, drawn.rows, strict=True)
            ]
    return Talks(tuple(talks), config.turns, config.asked, config.answered)


def _halfway(
    study: Study,
    talks: Talks,
    behavior: Float[np.ndarray, "talks places"],
    bottom: Float[np.ndarray, "talks places"],
    generator: np.random.Generator,
) -> Estimate:
    """Turns after which the behavior has come half the way to that of P-."""
    count, check = len(talks.prompts), study.reader.check
    turns = range(talks.turns + 1)
    draws = []
    for _ in range(study.config.resamples):
        rows, rates = generator.integers(count, size=count), draw_rates(check, generator)
        curve = rescored(check, behavior[rows], rates).mean(axis=0)
        draws.append(halfway_of(curve, float(rescored(check, bottom[rows], rates).mean()), turns))
    return interval(halfway_of(behavior.mean(axis=0), float(bottom.mean()), turns), draws, count, "turns", check)


def _record(
    record: Recorder,
    config: ConverseConfig,
    talks: Talks,
    log_ratio: Float[np.ndarray, "talks sentences"],
    behavior: Float[np.ndarray, "talks places"],
    summary: Summary,
    halfway: Estimate,
) -> None:
    sums = sums_so_far(log_ratio)[:, list(talks.places)]
    weight = None if summary.refused else theory.bad_weight(-max(summary.area.value, 1e-9), sums)
    separation = float(summary.estimates["beta"].value)
    reverse = float(summary.estimates["beta_prime"].value)
    drift = theory.conversation_drift(max(separation, 1e-9), reverse, config.asked, config.answered or 1e-12)
    gained = float((sums[:, min(2, talks.turns)] - sums[:, 1]).mean()) if talks.turns > 1 else float(sums[:, 1].mean())
    record.value("turns_halfway", finite(halfway.value))
    record.value("drift_predicted", drift)
    record.value("drift_measured", gained)
    record.value("bad_weight_last", None if weight is None else float(weight[:, -1].mean()))
    rows = []
    for turn, place in enumerate(talks.places):
        mean, heavy = float(behavior[:, turn].mean()), None if weight is None else float(weight[:, turn].mean())
        rows.append(
            (
                turn,
                place,
                round(mean, 4),
                heavy if heavy is None else round(heavy, 4),
                round(float(sums[:, turn].mean()), 3),
            )
        )
        record.measure("behavior", mean, step=turn)
        if heavy is not None:
            record.measure("bad_weight", heavy, step=turn)
    record.table(
        "turns",
        "After so many turns of the user",
        ("turn", "sentences so far", "behavior", "weight of P-", "log-ratio, nats"),
        rows,
        note=DIRECTION,
    )
    _finding(record, config, halfway, drift, gained)


def _finding(record: Recorder, config: ConverseConfig, halfway: Estimate, drift: float, gained: float) -> None:
    there = finite(halfway.value) is not None
    words = f"after {halfway.number}" if there else f"not within {config.turns} turns"
    record.finding(
        "conversation",
        f"After how many turns ({config.asked} sentences, {config.answered} answered) is the behavior half way down?",
        "agrees" if (drift > 0) == there else "inconclusive",
        f"{words[0].upper()}{words[1:]}. While the model still answers from P+ a turn is worth {drift:.2f} nats at "
        f"worst; between the first turns {gained:.2f} were gained on average.",
        measured=halfway if there else None,
        assumptions=LIMITS,
        advice="Answers of the model count against the attack, until they come from P- themselves.",
    )
