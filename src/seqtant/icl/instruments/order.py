"""How much the order of the examples matters: accuracy in every order, its spread, and the vote of all orders."""

from __future__ import annotations

import numpy as np

from seqtant.findings import Estimate, Result
from seqtant.icl.config import OrderConfig
from seqtant.icl.prompts.corruptions import permutations
from seqtant.icl.prompts.tasks import Example
from seqtant.icl.scoring.components import labels_behind
from seqtant.icl.scoring.study import Study, open_study
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import mean

ORDERING = 23


def run(config: OrderConfig, context: Context) -> Result:
    """Asks the same queries behind the same examples in many orders.

    Raises:
        InputError: The model or a task cannot be used.
    """
    title = f"Order of the examples in prompts of {config.model}"
    with Recorder("icl.order", title, config, context, papers=(4,)) as record:
        study = open_study(config, context, record, least_tasks=1)
        rows, spreads, averaged, single = [], [], [], []
        bar = context.progress.task("sets of examples", len(study.tasks) * config.prompts)
        for number, task in enumerate(study.tasks):
            generator = np.random.default_rng([context.seed, ORDERING, number])
            own = []
            for prompt in study.dealt[number].prompts:
                said, right = _ask(config, study, number, prompt[:-1], generator)
                hits = (said.argmax(axis=2) == right).mean(axis=1)
                vote = (np.logaddexp.reduce(said, axis=0).argmax(axis=1) == right).mean()
                own.append((hits, vote))
                bar.advance()
            worst, best = (np.array([fold(hits) for hits, _ in own]) for fold in (np.min, np.max))
            means, votes = np.array([hits.mean() for hits, _ in own]), np.array([vote for _, vote in own])
            spreads.append(best - worst)
            single.append(means)
            averaged.append(votes)
            rows.append((task.name, *(round(float(x.mean()), 3) for x in (worst, means, best, best - worst, votes))))
            for order, share in enumerate(own[0][0]):
                record.measure("accuracy", float(share), step=float(order), group=task.name)
        bar.close()
        _report(record, config, rows, spreads, averaged, single)
    return record.result


def _ask(
    config: OrderConfig, study: Study, number: int, shots: list[Example], generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities (orders, queries, labels) and the right labels; every order's examples are read once."""
    task = study.tasks[number]
    pool = [example for example in study.dealt[number].measured if example not in shots] or list(task.examples)
    queries = [pool[i] for i in generator.permutation(len(pool))[: config.queries]]
    orders = permutations(len(shots), config.orders, generator)
    prefixes = [study.encoder.encode_context(task, [shots[i] for i in order]) for order in orders]
    encoded = study.encoder.encode_examples(task, queries)
    said = labels_behind(study.model, prefixes, encoded, tokens_per_batch=config.tokens_per_batch)
    return said, study.label_numbers(queries)


def _report(
    record: Recorder,
    config: OrderConfig,
    rows: list[tuple[object, ...]],
    spreads: list[np.ndarray],
    averaged: list[np.ndarray],
    single: list[np.ndarray],
) -> None:
    spread, vote, alone = (np.concatenate(parts) for parts in (spreads, averaged, single))
    record.value("spread", float(spread.mean()))
    record.value("accuracy", float(alone.mean()))
    record.value("accuracy_of_vote", float(vote.mean()))
    record.table(
        "orders",
        f"Accuracy over the orders of {config.shots} examples",
        ("task", "worst order", "mean", "best order", "spread", "vote of all orders"),
        [tuple(row) for row in rows],  # type: ignore[misc]
        note="Worst and best of one set of examples, mean over sets; the vote adds up probabilities of all orders.",
    )
    found = mean(spread)
    record.finding(
        "spread",
        "Does the order of the examples matter?",
        "agrees" if found.value < 0.05 else "disagrees",
        f"From the worst to the best order accuracy differs by {100 * found.value:.0f} points; a mixture of tasks "
        "whose examples are independent would not care.",
        predicted=Estimate.exact(0.0, method="exchangeable examples"),
        measured=found,
        advice="" if found.value < 0.05 else "Take the vote of several orders.",
    )
    gain = mean(vote - alone)
    record.value("gain_of_vote", gain.value)
    record.finding(
        "vote",
        "Is the vote of all orders better than one order?",
        "agrees" if gain.low is not None and gain.low > 0 else "inconclusive",
        f"By {100 * gain.value:.1f} points.",
        predicted=Estimate(value=0.0, low=0.0, method="a gain"),
        measured=gain,
    )
