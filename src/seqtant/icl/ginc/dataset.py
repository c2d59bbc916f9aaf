"""GINC (Xie et al., arXiv 2111.02080): its parameters, and documents and few-shot prompts sampled from them.

The parameters are a family of hidden Markov models over entities and their properties, one per concept.

A hidden state is an entity and a property; it emits the one symbol that the entity's memory holds under the property.
Concepts differ in how properties follow each other. Recipe and seeds are those of the published generator
(github.com/p-lambda/incontext-learning, generate_data.py), so that the same numbers come out.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import chain, islice, permutations
from pathlib import Path
from string import ascii_lowercase
from typing import Annotated

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field

from seqtant.errors import InputError
from seqtant.icl.config import GincSource, LabelLaw, Seed32, Several, Unit, Vocabulary
from seqtant.settings import Count, Positive, build, config
from seqtant.sources import describe, is_path

DELIMITER = 0
"""The symbol of property 0 of every entity: it separates examples."""
_FILES = ("ginc.json", "ginc.safetensors")
_ARRAYS = ("memory", "starts", "property_moves", "entity_moves")


@config
class GincSettings:
    """Sizes, temperatures and seed that the parameters are sampled from."""

    vocabulary: Vocabulary = 50
    """Number of symbols, the delimiter included; published are 50, 100 and 150."""
    entities: Count = 10
    """Number of entities (the paper's values)."""
    properties: Several = 10
    """Number of properties (the paper's slots), the delimiter's included."""
    concepts: Annotated[int, Field(ge=4)] = 10
    """Number of concepts; documents are written by the first half, the second half is out of distribution."""
    transition_temperature: Positive = 0.1
    """Temperature of the weights that mix permutations into a transition matrix."""
    start_temperature: Positive = 10.0
    """Temperature of the start distribution; 10 is nearly uniform."""
    identity: Unit = 0.9
    """Share of staying with the same entity."""
    own_entities: bool = False
    """Whether every concept has entity transitions of its own."""
    parameter_seed: Seed32 = 1111
    """Seed of the parameters; 1111 is the published one."""


@dataclass(frozen=True)
class Ginc:
    """The hidden Markov models; state = entity * properties + property.

    Example:
        >>> ginc = Ginc.generate(GincSettings())
        >>> len(np.unique(ginc.memory)), ginc.names[:3], ginc.transitions(0).shape
        (42, ('/', 'a', 'b'), (100, 100))
        >>> ginc.names[ginc.memory[7, 3]]
        'ar'
    """

    settings: GincSettings
    """Sizes, temperatures and seed."""
    memory: Int[np.ndarray, "entities properties"]
    """Symbol of every entity under every property."""
    starts: Float[np.ndarray, "concepts states"]
    """Start distribution of every concept."""
    property_moves: Float[np.ndarray, "concepts properties properties"]
    """Transitions between properties."""
    entity_moves: Float[np.ndarray, "concepts entities entities"]
    """Transitions between entities; the same in every concept unless they have their own."""

    @classmethod
    def generate(cls, settings: GincSettings) -> Ginc:
        """Samples the parameters; one seed always gives the same ones."""
        # The published numbers come from NumPy's legacy generator, whose stream is fixed; the order of calls counts.
        state = np.random.RandomState(settings.parameter_seed)
        memory = state.randint(low=1, high=settings.vocabulary, size=(settings.entities, settings.properties))
        memory[:, 0] = DELIMITER
        starts, properties, entities = [], [], []
        for _ in range(settings.concepts):
            scores = state.rand(settings.entities * settings.properties)
            starts.append(_softmax(scores, settings.start_temperature))
            properties.append(_mix_permutations(settings.properties, settings.transition_temperature, state))
            # All concepts share their entity moves by starting the same stream again, unless they have their own.
            stream = state if settings.own_entities else np.random.RandomState(settings.parameter_seed + 3)
            mixed = _mix_permutations(settings.entities, settings.transition_temperature, stream)
            entities.append((1 - settings.identity) * mixed + settings.identity * np.eye(settings.entities))
        return cls(settings, memory, np.array(starts), np.array(properties), np.array(entities))

    @classmethod
    def load(cls, folder: Path) -> Ginc:
        """Reads what :meth:`save` wrote.

        Raises:
            InputError: The folder holds no parameters of GINC, or broken ones.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        note, numbers = (folder / name for name in _FILES)
        if not note.is_file() or not numbers.is_file():
            raise InputError(
                f"'{folder}' holds no GINC parameters: make them with 'seqtant icl ginc make --out FOLDER'"
            )
        try:
            settings = build(GincSettings, json.loads(note.read_text(encoding="utf-8")), source=f"'{note}'")
            arrays = load_file(numbers)
            loaded = cls(settings, *(arrays[name] for name in _ARRAYS))
        except (ValueError, KeyError, SafetensorError) as error:
            raise InputError(f"'{folder}' holds broken GINC parameters: {error}") from error
        states = settings.entities * settings.properties
        rows = [*loaded.starts, *loaded.property_moves.reshape(-1, settings.properties)]
        fits = loaded.starts.shape == (settings.concepts, states) and loaded.memory.size == states
        if not fits or any(abs(row.sum() - 1) > 1e-6 or row.min() < 0 for row in rows):
            raise InputError(f"'{folder}' holds GINC parameters that are no probabilities or do not fit its ginc.json")
        return loaded

    def save(self, folder: Path) -> list[Path]:
        """Writes the parameters as ``ginc.json`` and ``ginc.safetensors`` and returns both paths."""
        from safetensors.numpy import save

        from seqtant.runs.files import whole_file, write_text

        note, numbers = (folder / name for name in _FILES)
        with whole_file(numbers) as temporary:
            temporary.write_bytes(save({name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}))
        write_text(note, json.dumps(asdict(self.settings), indent=1) + "\n")
        return [note, numbers]

    @property
    def names(self) -> tuple[str, ...]:
        """Written form of every symbol: ``/``, then a to z, ab, ac and so on."""
        words = chain.from_iterable(permutations(ascii_lowercase, n) for n in range(1, len(ascii_lowercase)))
        return ("/", *("".join(letters) for letters in islice(words, self.settings.vocabulary - 1)))

    @property
    def inside(self) -> int:
        """Number of concepts that write documents: the first half."""
        return len(self.starts) // 2

    @property
    def emissions(self) -> Int[np.ndarray, " states"]:
        """The symbol that every state emits."""
        return self.memory.ravel()

    def transitions(self, concept: int) -> Float[np.ndarray, "states states"]:
        """Builds the transition matrix of one concept: entity and property move independently."""
        # state = entity * properties + property, so entity is the slow index: the left factor of the Kronecker product.
        return np.kron(self.entity_moves[concept], self.property_moves[concept])


def _mix_permutations(size: int, temperature: float, state: np.random.RandomState) -> np.ndarray:
    """Mixes as many random permutation matrices as there are rows: the paper says 100, its code takes ``size``."""
    weights = _softmax(state.rand(size), temperature)
    return np.sum([weight * np.eye(size)[state.permutation(size)] for weight in weights], axis=0)


def _softmax(scores: np.ndarray, temperature: float) -> np.ndarray:
    # The largest score is subtracted first, against overflow at low temperatures.
    powers = np.exp((scores - scores.max()) / temperature)
    return powers / powers.sum()


def open_ginc(config: GincSource) -> Ginc:
    """Samples the parameters that a configuration describes, or takes those that it names."""
    if config.parameters is None:
        names = ("vocabulary", "identity", "own_entities", "parameter_seed")
        return Ginc.generate(GincSettings(**{name: getattr(config, name) for name in names}))
    if not is_path(config.parameters) and not isinstance(config.parameters, Ginc):
        raise InputError(f"{config.parameters!r:.60} holds no parameters of GINC: give a Ginc or a folder")
    loaded = Ginc.load(Path(config.parameters)) if is_path(config.parameters) else config.parameters
    if loaded.settings.vocabulary != config.vocabulary:
        raise InputError(
            f"'{describe(config.parameters)}' holds GINC with {loaded.settings.vocabulary} symbols, asked for are "
            f"{config.vocabulary}: give --vocabulary {loaded.settings.vocabulary}"
        )
    return loaded


@dataclass(frozen=True)
class Documents:
    """Documents of one concept each."""

    tokens: Int[np.ndarray, "documents length"]
    """Symbols."""
    concepts: Int[np.ndarray, " documents"]
    """Concept that each was sampled from."""
    states: Int[np.ndarray, "documents length"]


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

    def tokens(self) -> Int[np.ndarray, "prompts time"]:
        """Joins all examples by delimiters, without the last label."""
        # Blocks of length + 1 symbols; of the last one neither the label nor its delimiter is read.
        count, examples, length = self.shots.shape
        closed = np.concatenate([self.shots, np.full((count, examples, 1), DELIMITER)], axis=2)
        return closed.reshape(count, examples * (length + 1))[:, : examples * (length + 1) - 2]


def sample_documents(ginc: Ginc, count: int, length: int, generator: np.random.Generator) -> Documents:
    """Samples documents of the concepts in distribution.

    Example:
        >>> sampled = sample_documents(Ginc.generate(GincSettings()), 3, 20, np.random.default_rng(0))
        >>> sampled.tokens.shape, bool((sampled.concepts < 5).all())
        ((3, 20), True)
    """
    concepts = generator.integers(ginc.inside, size=count)
    first = _choose(np.cumsum(ginc.starts, axis=1)[concepts], generator)
    states = _walk(ginc, concepts, first, length, generator)
    return Documents(ginc.emissions[states], concepts, states)


def sample_prompts(
    ginc: Ginc,
    count: int,
    shots: int,
    length: int,
    generator: np.random.Generator,
    *,
    labels: LabelLaw = "gold",
    outside: bool = False,
) -> Prompts:
    """Samples prompts; each holds ``shots`` examples and a query, and so every smaller number of shots too.

    Args:
        ginc: The parameters.
        count: Number of prompts.
        shots: Number of examples before the last query.
        length: Symbols of an example, label included.
        generator: Random generator.
        labels: What the prompt shows as labels: those sampled, random symbols, or the prompt's own in random order.
        outside: Whether examples are patterns that no concept in distribution writes: random properties, one entity.

    Raises:
        InputError: An example is too short, or there is nothing to sample.
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
        # The pattern comes from no concept, so that nothing is known of the first state.
        start = np.full((count, len(ginc.emissions)), 1 / len(ginc.emissions))
    else:
        start_property = generator.integers(1, ginc.settings.properties, size=count)
        first = entities * ginc.settings.properties + np.repeat(start_property, examples)
        # All examples of a prompt start at one property, each at an entity of its own.
        # Examples of one prompt lie side by side in ``owner``: reshape(count, examples, length) below relies on it.
        symbols = ginc.emissions[_walk(ginc, owner, first, length, generator)]
        # Uniform over the states that have the start property: the input alone must tell the entity.
        same = np.arange(len(ginc.emissions)) % ginc.settings.properties == start_property[:, None]
        start = same / ginc.settings.entities
    right = _likeliest(ginc, owner, np.repeat(start, examples, axis=0), symbols[:, :-1])
    shown = symbols.reshape(count, examples, length).copy()
    if labels == "random":
        shown[:, :, -1] = generator.integers(1, ginc.settings.vocabulary, size=(count, examples))
    elif labels == "permuted":
        # The last label is the query's and is never shown: it stays out of the exchange.
        shown[:, :-1, -1] = generator.permuted(shown[:, :-1, -1], axis=1)
    return Prompts(shown, right.reshape(count, examples), concepts)


def _walk(
    ginc: Ginc, concepts: np.ndarray, first: np.ndarray, length: int, generator: np.random.Generator
) -> Int[np.ndarray, "walks length"]:
    """Walks of hidden states; entity and property move independently, so each is sampled from its own small matrix."""
    # Kronecker products of the two small matrices would be 100 by 100 per concept; two small draws are the same law.
    by_entity, by_property = np.cumsum(ginc.entity_moves, axis=2), np.cumsum(ginc.property_moves, axis=2)
    states = np.empty((len(first), length), dtype=np.int64)
    states[:, 0] = first
    entity, prop = np.divmod(first, ginc.settings.properties)
    for step in range(1, length):
        entity = _choose(by_entity[concepts, entity], generator)
        prop = _choose(by_property[concepts, prop], generator)
        states[:, step] = entity * ginc.settings.properties + prop
    return states


def _choose(cumulative: Float[np.ndarray, "rows outcomes"], generator: np.random.Generator) -> np.ndarray:
    """One outcome per row of cumulative probabilities."""
    # The last sum may fall short of 1 by rounding: then the last outcome is meant.
    sampled = (cumulative <= generator.random(len(cumulative))[:, None]).sum(axis=1)
    return np.minimum(sampled, cumulative.shape[1] - 1)


def _likeliest(ginc: Ginc, concepts: np.ndarray, start: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Likeliest next symbol under each example's own concept, by the forward filter: b <- (b * e(symbol)) M."""
    emits = np.eye(ginc.settings.vocabulary)[ginc.emissions]
    best = np.empty(len(given), dtype=np.int64)  # given: [examples, symbols]
    for concept in np.unique(concepts):
        here = concepts == concept
        moves, belief = ginc.transitions(int(concept)), start[here]  # belief: [examples of the concept, states]
        for column in given[here].T:
            # ``emits`` is [states, vocabulary]: column n of the pick is which states emit example n's symbol.
            belief = belief * emits[:, column].T
            # Patterns from outside may be impossible under every concept: such a filter starts anew.
            lost = belief.sum(axis=1) == 0
            belief[lost] = 1.0
            belief = belief / belief.sum(axis=1, keepdims=True) @ moves
        best[here] = (belief @ emits).argmax(axis=1)
    return best
