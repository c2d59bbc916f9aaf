"""How much the order of the examples matters: accuracy in every order, its spread, and the vote of all orders."""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np
from jaxtyping import Int

from seqtant.findings import Cell, Estimate, Result
from seqtant.icl.config import OrderConfig
from seqtant.icl.scoring.scores import label_log_probs_after
from seqtant.icl.scoring.study import ORDER_SEED, open_study
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import name_of
from seqtant.stats.intervals import mean


def sample_orders(size: int, most: int, generator: np.random.Generator) -> list[Int[np.ndarray, " size"]]:
    """Samples different orders of some things; gives all of them where there are no more than asked for.

    Example:
        >>> len(sample_orders(3, 24, np.random.default_rng(0))), len(sample_orders(9, 24, np.random.default_rng(0)))
        (6, 24)
    """
    if factorial(size) <= most:
        return [np.array(order) for order in permutations(range(size))]
    # A dictionary keeps each order once, in the sequence of its first appearance; the given order comes first.
    found: dict[tuple[int, ...], None] = {tuple(range(size)): None}
    while len(found) < most:
        found[tuple(generator.permutation(size).tolist())] = None
    return [np.array(order) for order in found]


@verb(OrderConfig)
def order(config: OrderConfig, context: Context) -> Result:
    """Measures how much the order of the examples matters: the same queries after the same examples in many orders.

    For a mixture of tasks whose examples are independent, P(label | examples, query) is the same in every order. The
    vote of the orders is the label with the largest sum of probabilities over them.

    Returns:
        ``accuracy`` of the mean order, ``spread`` from the worst to the best order, ``accuracy_of_vote`` and
        ``gain_of_vote``.

    Raises:
        InputError: The model or a task cannot be used.

    Example:
        >>> few = {"shots": 2, "prompts": 2, "queries": 2, "context_shots": 1, "examples": 4, "device": "cpu"}
        >>> result = order("reference", "size", **few)
        >>> 0 <= result.values["spread"] <= 1
        True
    """
    title = f"Order of the examples in prompts of {name_of(config.model)}"
    with Recorder("icl.order", title, config, context, papers=(4,)) as record:
        study = open_study(config, context, record, least_tasks=1)
        rows: list[tuple[Cell, ...]] = []
        found: list[np.ndarray] = []
        bar = context.progress.task("sets of examples", len(study.tasks) * config.prompts)
        for number, (task, split) in enumerate(zip(study.tasks, study.splits, strict=True)):
            generator = np.random.default_rng([context.seed, ORDER_SEED, number])
            accuracies, voted = [], []
            for prompt in split.prompts:
                shots = prompt[:-1]
                # A small file may hold nothing but the shots: then all its examples may be asked.
                pool = [example for example in split.single if example not in shots] or list(task.examples)
                queries = [pool[i] for i in generator.permutation(len(pool))[: config.queries]]
                orders = sample_orders(len(shots), config.orders, generator)
                contexts = [study.encoder.encode_context(task, [shots[i] for i in order]) for order in orders]
                encoded = study.encoder.encode_examples(task, queries)
                log_probs = label_log_probs_after(
                    study.model, contexts, encoded, tokens_per_batch=config.tokens_per_batch
                )
                labels = study.label_numbers(queries)
                accuracies.append((log_probs.argmax(axis=2) == labels).mean(axis=1))
                # The vote: the likeliest label of the sum of all orders' probabilities.
                voted.append((np.logaddexp.reduce(log_probs, axis=0).argmax(axis=1) == labels).mean())
                bar.advance()
            table = np.array(accuracies)  # [sets of examples, orders]
            worst, single, best, vote = table.min(axis=1), table.mean(axis=1), table.max(axis=1), np.array(voted)
            found.append(np.stack([best - worst, vote, single]))
            rows.append((task.name, *(round(float(x.mean()), 3) for x in (worst, single, best, best - worst, vote))))
            for order, share in enumerate(table[0]):
                record.measure("accuracy", float(share), step=float(order), group=task.name)
        bar.close()
        _record(record, config, rows, np.concatenate(found, axis=1))
    return record.result


def _record(record: Recorder, config: OrderConfig, rows: list[tuple[Cell, ...]], values: np.ndarray) -> None:
    spread, vote, single = values
    for key, column in (("spread", spread), ("accuracy", single), ("accuracy_of_vote", vote)):
        record.value(key, float(column.mean()))
    record.table(
        "orders",
        f"Accuracy over the orders of {config.shots} examples",
        ("task", "worst order", "mean", "best order", "spread", "vote of all orders"),
        rows,
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
    gain = mean(vote - single)
    record.value("gain_of_vote", gain.value)
    record.finding(
        "vote",
        "Is the vote of all orders better than one order?",
        "agrees" if (gain.low or 0) > 0 else "inconclusive",
        f"By {100 * gain.value:.1f} points.",
        predicted=Estimate(value=0.0, low=0.0, method="a gain"),
        measured=gain,
    )
