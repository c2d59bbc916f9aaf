"""Computes every bound from given numbers, in all forms and units; no model is run."""

from __future__ import annotations

import math

from seqtant.beb import theory
from seqtant.beb.config import BoundConfig
from seqtant.beb.study.reporting import DIRECTION, LIMITS
from seqtant.beb.theory import Length
from seqtant.findings import Cell, Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb

EXAMPLE_LOG_ALPHA = -60.0
"""The paper's example of agreeableness: log(1/alpha) / beta = 3 at beta = 20."""
_FORM_NAMES = {"paper": "", "tight": "_tight", "clt": "_clt"}


@verb(BoundConfig)
def bound(config: BoundConfig, context: Context) -> Result:
    """Computes by how many sentences alignment fails, from given numbers, in all forms and units; no model is run.

    Theorem 1: some prompt of (log(1/alpha) + log(4/eps)) / beta sentences brings behavior within eps of P-. Guards and
    answers of the model add sentences (Theorems 2 and 3), best of n adds log(n) / beta (4), most prompts need at most
    twice the length or what their variance asks for (5). Each in the paper's form, in a tight one, and as it is
    typical.

    Returns:
        One length per theorem and form, in sentences: ``misalign``, ``misalign_tight``, ``mass_clt`` and so on.

    Raises:
        InputError: A number cannot be what it stands for.

    Example:
        >>> found = bound(alpha=1e-6, beta=2, eps=0.05, sigma=1.5)
        >>> round(found.values["misalign"], 3), round(found.values["misalign_tight"], 3)
        (9.099, 8.74)
    """
    with Recorder("beb.bound", "By how long a prompt alignment fails", config, context, papers=(3,)) as record:
        given = config.alpha is not None or config.log_alpha is not None
        log_alpha = theory.log_of_alpha(config.alpha, config.log_alpha) if given else EXAMPLE_LOG_ALPHA
        known, more = (log_alpha, config.beta, config.eps), {"sigma": config.sigma, "delta": config.delta}
        theirs = more | {"beta_prime": config.beta_prime}
        lengths: dict[tuple[str, theory.Form], Length] = {}
        for form in theory.FORMS:
            lengths["misalign", form] = theory.misalign(*known, form)
            lengths["guard", form] = theory.guard(*known, guard_sentences=config.guard_sentences, form=form, **theirs)
            lengths["mass", form] = theory.mass(*known, form=form, **more)
            lengths["best_of_n", form] = theory.best_of_n(*known, config.best_of, form)
            if config.answers:
                lengths["conversation", form] = theory.conversation(*known, answers=config.answers, form=form, **theirs)
            if config.eta:
                lengths["power_law", form] = theory.power_law(*known, eta=config.eta, form=form)
        for (name, form), length in lengths.items():
            record.value(f"{name}{_FORM_NAMES[form]}", length.sentences)
        record.value("halfway", theory.halfway(log_alpha, config.beta))
        if config.answers:
            # Sentences asked and answered per turn, where the user asks as much as the bound needs.
            turns = len(config.answers)
            asked, answered = lengths["conversation", "paper"].sentences / turns, sum(config.answers) / turns
            drift = theory.conversation_drift(config.beta, config.beta_prime, asked, answered)
            record.value("conversation_drift", drift)
        _record_findings(record, config, lengths)
        tokens, turn = config.tokens_per_sentence, config.sentences_per_turn
        columns = ["bound", "form", "sentences", "whole sentences"]
        columns += [name for name, unit in (("tokens", tokens), ("turns", turn)) if unit]
        rows: list[tuple[Cell, ...]] = []
        for (name, form), length in lengths.items():
            row: list[Cell] = [name.replace("_", " "), form, round(length.sentences, 3), length.whole]
            row += [round(length.sentences * tokens, 1)] if tokens else []
            row += [round(length.sentences / turn, 2)] if turn else []
            rows.append(tuple(row))
        needed = theory.evidence_needed(log_alpha, config.eps, "tight")
        record.table(
            "lengths", "Alignment fails by", tuple(columns), rows, note=f"{needed:.3f} nats are needed. " + DIRECTION
        )
        terms = [
            (name.replace("_", " "), form, term, round(value, 4))
            for (name, form), length in lengths.items()
            for term, value in length.terms.items()
            if len(length.terms) > 1
        ]
        record.table("terms", "What each length is made of", ("bound", "form", "term", "sentences"), terms)
        # Up to half beyond the longest bound, at most about 60 points.
        last = math.ceil(1.5 * lengths["mass", "tight"].sentences)
        for n in range(0, last + 1, max(1, last // 60)):
            record.measure("one_prompt", float(theory.sigmoid_weight(log_alpha, config.beta, n)), step=n)
            record.measure(
                "average_prompt", float(theory.expected_weight(log_alpha, config.beta, config.sigma, n)), step=n
            )
        if not given:
            record.warn("no alpha was given: these are the numbers of the paper's example (agreeableness)")
    return record.result


def _record_findings(record: Recorder, config: BoundConfig, lengths: dict[tuple[str, theory.Form], Length]) -> None:
    tight, paper = lengths["misalign", "tight"], lengths["misalign", "paper"]
    goal = config.gamma + config.eps
    record.finding(
        "misalign",
        "By how many sentences does alignment fail?",
        "agrees",
        f"Some prompt of {tight.whole} sentences brings the behavior below {goal:.3g} "
        f"({paper.whole} with the paper's constants); {lengths['mass', 'clt'].whole} do for about "
        f"{100 * (1 - config.delta):.0f} % of prompts drawn from P-.",
        predicted=Estimate.exact(tight.sentences, unit="sentences", method="Theorem 1, tight"),
        assumptions=LIMITS,
        advice=DIRECTION,
    )
    if goal < -1:
        record.warn("gamma + eps is below -1: no behavior is that bad, so the statement is empty")
    if config.best_of == 1:
        return
    # Answers of -1 and +1 with mean gamma: bad with probability (1 - gamma) / 2.
    best = float(theory.best_of_answers((1 - config.gamma) / 2, config.best_of))
    stated, corrected = lengths["best_of_n", "paper"], lengths["best_of_n", "tight"]
    record.value("gamma_of_best", best)
    record.finding(
        "best_of_n",
        f"Does the best of {config.best_of} answers protect?",
        "disagrees" if best > goal else "agrees",
        f"The best of {config.best_of} answers of P- itself scores {best:.3f} on average. Theorem 4 as stated promises "
        f"{goal:.3g} after {stated.whole} sentences; what holds is {best + config.eps:.3g} after "
        f"{corrected.whole}.",
        predicted=Estimate.exact(goal, method="Theorem 4 as stated"),
        measured=Estimate.exact(best, method="answers of -1 and +1 with mean gamma"),
    )
    if best >= 0:
        record.warn(
            f"best-of-{config.best_of} does protect here: even P- alone has a good answer among so many; the length of "
            "Theorem 4 as stated does not hold"
        )
