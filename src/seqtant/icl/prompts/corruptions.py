"""Ways to spoil the examples of a prompt, after Min et al. (arXiv 2202.12837), and the labels that each shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from seqtant.errors import InputError
from seqtant.icl.prompts.tasks import Example, Task

SHARES = {"75_correct": 0.75, "50_correct": 0.5, "25_correct": 0.25, "0_correct": 0.0}
"""Share of right labels of the variants that keep some."""
CUT = ("labels_only", "inputs_only")
"""Variants that leave a part of every example out."""


def corrupt(
    variant: str, task: Task, examples: Sequence[Example], words: Sequence[str], generator: np.random.Generator
) -> list[Example]:
    """The examples of one prompt with other labels or inputs; the last one is the query, whose input stays.

    Args:
        variant: One of :data:`seqtant.icl.config.VARIANTS`.
        task: The task.
        examples: Shots and, last, the query.
        words: Words that foreign inputs are put together from.
        generator: Source of chance.

    Raises:
        InputError: There is no such variant.

    Example:
        >>> task = Task(name="t", examples=(Example("a", "x"), Example("b", "y")))
        >>> [example.label for example in corrupt("0_correct", task, task.examples, [], np.random.default_rng(0))]
        ['y', 'x']
    """
    shown = list(examples)
    if variant == "foreign_inputs":
        return [*(_foreign(example, words, generator) for example in shown[:-1]), shown[-1]]
    if variant == "permuted":
        order = generator.permutation(len(shown) - 1)
        return [*(Example(e.input, shown[i].label) for e, i in zip(shown[:-1], order, strict=True)), shown[-1]]
    if variant in ("gold", "abstract", *CUT):
        return shown
    if variant not in ("random", "marginal", *SHARES):
        raise InputError(f"unknown variant '{variant}'")
    labels = [example.label for example in task.examples]
    laws = _law(variant, task, [example.label for example in shown], labels, task.labels)
    drawn = [int(generator.choice(len(law), p=law)) for law in laws]
    return [Example(example.input, task.labels[number]) for example, number in zip(shown, drawn, strict=True)]


def shown_law(variant: str, task: Task, examples: Sequence[Example], labels: Sequence[str]) -> np.ndarray | None:
    """Probability of every label being shown with each example, (examples, labels); None where the flip law is silent.

    Args:
        variant: The variant.
        task: The task.
        examples: Examples with their right labels.
        labels: The labels in the order of the columns.
    """
    if variant in ("foreign_inputs", "abstract", *CUT):
        return None
    right = [example.label for example in examples]
    return _law(variant, task, right, [example.label for example in task.examples], labels)


def _law(
    variant: str, task: Task, right: Sequence[str], drawn: Sequence[str], labels: Sequence[str]
) -> Float[np.ndarray, "examples labels"]:
    gold = (np.array(right)[:, None] == np.array(labels)).astype(float)
    usual = np.isin(labels, task.usual).astype(float)
    if variant == "gold":
        return gold
    if variant == "random":
        return np.tile(usual / usual.sum(), (len(right), 1))
    if variant in ("marginal", "permuted"):
        counts = np.array([drawn.count(label) for label in labels], dtype=float)
        return np.tile(counts / counts.sum(), (len(right), 1))
    others = usual * (1 - gold)
    return SHARES[variant] * gold + (1 - SHARES[variant]) * others / others.sum(axis=1, keepdims=True)


def _foreign(example: Example, words: Sequence[str], generator: np.random.Generator) -> Example:
    """The same label with as many words drawn from all inputs: the form is kept, the meaning is not."""
    return Example(" ".join(generator.choice(list(words), size=len(example.input.split()))), example.label)


def words_of(examples: Sequence[Example]) -> list[str]:
    """All words of some inputs, as often as they come."""
    return [word for example in examples for word in example.input.split()]


def abstract_names(task: Task, given: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """A word without meaning for every label.

    Raises:
        InputError: There are fewer words than labels.
    """
    names = list(given or task.abstract or [chr(ord("A") + number) for number in range(26)])
    if len(names) < len(labels):
        raise InputError(f"{len(labels)} labels need as many abstract words, {len(names)} are given: give more")
    return dict(zip(labels, names, strict=False))


def renamed(task: Task, names: dict[str, str]) -> Task:
    """The task with other words for its labels."""
    return Task(
        name=task.name,
        examples=tuple(Example(example.input, names[example.label]) for example in task.examples),
        template=task.template,
        labels=tuple(names[label] for label in task.labels),
        delimiter=task.delimiter,
        opening=task.opening,
        weight=task.weight,
        is_law=task.is_law,
    )


def without(task: Task, part: str) -> str:
    """The template of shots that leave a part out: ``labels_only`` or ``inputs_only``.

    Example:
        >>> task = Task(name="t", examples=(Example("a", "x"), Example("b", "y")), template="{input} : {label} .")
        >>> without(task, "labels_only"), without(task, "inputs_only")
        ('{label} .', '{input} .')
    """
    before, _, after = task.template.partition("{label}")
    lead, _, _ = before.partition("{input}")
    return lead + ("{label}" if part == "labels_only" else "{input}") + after


def permutations(size: int, most: int, generator: np.random.Generator) -> list[Int[np.ndarray, " size"]]:
    """Orders of some things: all of them where there are no more than asked for, else so many different ones drawn.

    Example:
        >>> len(permutations(3, 24, np.random.default_rng(0))), len(permutations(9, 24, np.random.default_rng(0)))
        (6, 24)
    """
    from itertools import islice
    from itertools import permutations as all_orders
    from math import factorial

    if factorial(size) <= most:
        return [np.array(order) for order in islice(all_orders(range(size)), most)]
    found: dict[tuple[int, ...], None] = {tuple(range(size)): None}
    while len(found) < most:
        found[tuple(generator.permutation(size).tolist())] = None
    return [np.array(order) for order in found]
