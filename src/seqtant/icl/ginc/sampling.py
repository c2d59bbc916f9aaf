"""Documents and few-shot prompts of GINC, drawn many at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from seqtant.errors import InputError
from seqtant.icl.ginc.parameters import DELIMITER, Ginc

LabelLaw = Literal["gold", "random", "permuted"]


@dataclass(frozen=True)
class Documents:
    """Documents of one concept each."""

    tokens: Int[np.ndarray, "documents length"]
    """Symbols."""
    concepts: Int[np.ndarray, " documents"]
    """Who wrote each."""
    states: Int[np.ndarray, "documents length"]
    """Hidden states."""


@dataclass(frozen=True)
class Prompts:
    """Prompts of independent examples of one concept each, all starting at one property.

    Example ``i`` is a query after ``i`` shots: its last symbol is the label, the delimiter stands after it.
    """

    shots: Int[np.ndarray, "prompts examples length"]
    """Symbols of the examples as the prompt shows them, labels possibly replaced."""
    labels: Int[np.ndarray, "prompts examples"]
    """Likeliest last symbol of every example given its others, under the true concept."""
    concepts: Int[np.ndarray, " prompts"]
    """The true concept."""

    @property
    def length(self) -> int:
        """Symbols of an example, label included."""
        return self.shots.shape[2]

    def tokens(self) -> Int[np.ndarray, "prompts time"]:
        """All examples joined by delimiters, without the last label."""
        count, examples, length = self.shots.shape
        closed = np.concatenate([self.shots, np.full((count, examples, 1), DELIMITER)], axis=2)
        return closed.reshape(count, examples * (length + 1))[:, : examples * (length + 1) - 2]

    def query_positions(self) -> Int[np.ndarray, " examples"]:
        """Position of the last symbol before every example's label."""
        return np.arange(self.shots.shape[1]) * (self.length + 1) + self.length - 2


def draw_documents(ginc: Ginc, count: int, length: int, generator: np.random.Generator) -> Documents:
    """Draws documents of the concepts in distribution.

    Example:
        >>> from seqtant.icl.ginc.parameters import GincSettings
        >>> drawn = draw_documents(Ginc.generate(GincSettings()), 3, 20, np.random.default_rng(0))
        >>> drawn.tokens.shape, bool((drawn.concepts < 5).all())
        ((3, 20), True)
    """
    concepts = generator.integers(ginc.inside, size=count)
    first = _choose(np.cumsum(ginc.starts, axis=1)[concepts], generator)
    states = _walk(ginc, concepts, first, length, generator)
    return Documents(ginc.emissions[states], concepts, states)


def draw_prompts(
    ginc: Ginc,
    count: int,
    shots: int,
    length: int,
    generator: np.random.Generator,
    *,
    labels: LabelLaw = "gold",
    outside: bool = False,
) -> Prompts:
    """Draws prompts; each holds ``shots`` examples and a query, and so every smaller number of shots too.

    Args:
        ginc: The parameters.
        count: Number of prompts.
        shots: Number of examples before the last query.
        length: Symbols of an example, label included.
        generator: Source of chance.
        labels: What the prompt shows as labels: those drawn, random symbols, or the prompt's own in random order.
        outside: Whether examples are patterns that no concept in distribution writes: random properties, one entity.

    Raises:
        InputError: An example is too short, or nothing is to be drawn.
    """
    if length < 2 or shots < 0 or count < 1:
        raise InputError(f"{count} prompts of {shots} shots of {length} symbols: give at least 1, 0 and 2")
    examples = shots + 1
    concepts = generator.integers(ginc.inside, size=count) + (ginc.inside if outside else 0)
    owner = np.repeat(concepts, examples)
    entities = generator.integers(ginc.settings.entities, size=count * examples)
    if outside:
        properties = generator.integers(1, ginc.settings.properties, size=(count * examples, length))
        symbols = ginc.memory[entities[:, None], properties]
        start = np.full((count, len(ginc.emissions)), 1 / len(ginc.emissions))
    else:
        start_property = generator.integers(1, ginc.settings.properties, size=count)
        first = entities * ginc.settings.properties + np.repeat(start_property, examples)
        symbols = ginc.emissions[_walk(ginc, owner, first, length, generator)]
        same = np.arange(len(ginc.emissions)) % ginc.settings.properties == start_property[:, None]
        start = same / ginc.settings.entities
    right = _likeliest(ginc, owner, np.repeat(start, examples, axis=0), symbols[:, :-1])
    shown = symbols.reshape(count, examples, length).copy()
    shown[:, :, -1] = _shown_labels(shown[:, :, -1], labels, ginc.settings.vocabulary, generator)
    return Prompts(shown, right.reshape(count, examples), concepts)


def _shown_labels(
    own: Int[np.ndarray, "prompts examples"], labels: LabelLaw, vocabulary: int, generator: np.random.Generator
) -> Int[np.ndarray, "prompts examples"]:
    if labels == "random":
        return generator.integers(1, vocabulary, size=own.shape)
    # The last label is the query's and is never shown: it stays out of the exchange.
    return own if labels == "gold" else np.column_stack([generator.permuted(own[:, :-1], axis=1), own[:, -1]])


def _walk(
    ginc: Ginc,
    concepts: Int[np.ndarray, " walks"],
    first: Int[np.ndarray, " walks"],
    length: int,
    generator: np.random.Generator,
) -> Int[np.ndarray, "walks length"]:
    """Entity and property move independently, so each is drawn from its own small matrix."""
    by_entity, by_property = np.cumsum(ginc.entity_moves, axis=2), np.cumsum(ginc.property_moves, axis=2)
    states = np.empty((len(first), length), dtype=np.int64)
    states[:, 0] = first
    entity, held = np.divmod(first, ginc.settings.properties)
    for step in range(1, length):
        entity = _choose(by_entity[concepts, entity], generator)
        held = _choose(by_property[concepts, held], generator)
        states[:, step] = entity * ginc.settings.properties + held
    return states


def _choose(cumulative: Float[np.ndarray, "rows outcomes"], generator: np.random.Generator) -> np.ndarray:
    """One outcome per row; the last sum may fall short of 1 by rounding."""
    drawn = (cumulative <= generator.random(len(cumulative))[:, None]).sum(axis=1)
    return np.minimum(drawn, cumulative.shape[1] - 1)


def _likeliest(
    ginc: Ginc,
    concepts: Int[np.ndarray, " examples"],
    start: Float[np.ndarray, "examples states"],
    given: Int[np.ndarray, "examples symbols"],
) -> Int[np.ndarray, " examples"]:
    """Likeliest next symbol under each example's own concept, by the forward filter."""
    emits = np.eye(ginc.settings.vocabulary)[ginc.emissions]
    best = np.empty(len(given), dtype=np.int64)
    for concept in np.unique(concepts):
        here = concepts == concept
        moves, belief = ginc.transitions(int(concept)), start[here]
        for column in given[here].T:
            belief = belief * emits[:, column].T
            # Patterns from outside may be impossible under every concept: such a filter starts anew.
            lost = belief.sum(axis=1) == 0
            belief[lost] = 1.0
            belief = belief / belief.sum(axis=1, keepdims=True) @ moves
        best[here] = (belief @ emits).argmax(axis=1)
    return best


def texts(ginc: Ginc, tokens: Int[np.ndarray, "rows time"]) -> list[str]:
    """Symbols written out, with spaces between."""
    names = np.array(ginc.names)
    return [" ".join(names[row]) for row in tokens]
