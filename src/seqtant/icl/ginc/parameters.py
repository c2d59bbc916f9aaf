"""The parameters of GINC: a family of hidden Markov models over entities and their properties, one per concept.

A hidden state is an entity and a property; it emits the one symbol that the entity's memory holds under the property.
Concepts differ in how properties follow each other. Recipe and seeds are those of the published generator
(github.com/p-lambda/incontext-learning, generate_data.py), so that the same numbers come out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain, islice, permutations
from pathlib import Path
from string import ascii_lowercase

import numpy as np
from jaxtyping import Float, Int

from seqtant.errors import InputError
from seqtant.ranges import at_least, at_most, between, positive

DELIMITER = 0
"""The symbol of property 0 of every entity: it stands between examples."""
_VALUE_SEED_STEP = 3
_FILES = ("ginc.json", "ginc.safetensors")


@dataclass(frozen=True, kw_only=True)
class GincSettings:
    """What the parameters are drawn from."""

    vocabulary: int = 50
    """Number of symbols, the delimiter included; published are 50, 100 and 150."""
    entities: int = 10
    """Number of entities (the paper's values)."""
    properties: int = 10
    """Number of properties (the paper's slots), the delimiter's included."""
    concepts: int = 10
    """Number of concepts; documents are written by the first half, the second half is out of distribution."""
    transition_temperature: float = 0.1
    """Temperature of the weights that mix permutations into a transition matrix."""
    start_temperature: float = 10.0
    """Temperature of the start distribution; 10 is nearly uniform."""
    identity: float = 0.9
    """Share of staying with the same entity."""
    own_entities: bool = False
    """Whether every concept has entity transitions of its own."""
    parameter_seed: int = 1111
    """Seed of the parameters; 1111 is the published one."""

    def __post_init__(self) -> None:
        at_least(1, entities=self.entities)
        at_least(2, vocabulary=self.vocabulary, properties=self.properties)
        at_least(4, concepts=self.concepts)
        at_most(4096, vocabulary=self.vocabulary)
        positive(transition_temperature=self.transition_temperature, start_temperature=self.start_temperature)
        between(0, 1, identity=self.identity)


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
    """What they were drawn from."""
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
        """Draws the parameters; one seed always gives the same ones."""
        # The published numbers come from NumPy's legacy generator, whose stream never changes.
        state = np.random.RandomState(settings.parameter_seed)
        memory = state.randint(low=1, high=settings.vocabulary, size=(settings.entities, settings.properties))
        memory[:, 0] = DELIMITER
        drawn = [_concept(settings, state) for _ in range(settings.concepts)]
        starts, properties, entities = (np.array(part) for part in zip(*drawn, strict=True))
        return cls(settings, memory, starts, properties, entities)

    @classmethod
    def load(cls, folder: Path) -> Ginc:
        """Reads what :meth:`save` wrote.

        Raises:
            InputError: The folder holds no parameters of GINC, or broken ones.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        from seqtant.settings import build

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
        loaded._check(folder)
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
        return ("/", *islice(_words(), self.settings.vocabulary - 1))

    @property
    def inside(self) -> int:
        """Number of concepts that write documents: the first half."""
        return len(self.starts) // 2

    @property
    def emissions(self) -> Int[np.ndarray, " states"]:
        """The symbol that every state emits."""
        return self.memory.ravel()

    def transitions(self, concept: int) -> Float[np.ndarray, "states states"]:
        """Transition matrix of one concept: entity and property move independently."""
        return np.kron(self.entity_moves[concept], self.property_moves[concept])

    def _check(self, folder: Path) -> None:
        states = self.settings.entities * self.settings.properties
        rows = [*self.starts, *self.property_moves.reshape(-1, self.settings.properties)]
        fits = self.starts.shape == (self.settings.concepts, states) and self.memory.size == states
        if not fits or any(abs(row.sum() - 1) > 1e-6 or row.min() < 0 for row in rows):
            raise InputError(f"'{folder}' holds GINC parameters that are no probabilities or do not fit its ginc.json")


_ARRAYS = ("memory", "starts", "property_moves", "entity_moves")


def _concept(settings: GincSettings, state: np.random.RandomState) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    start = _softmax(state.rand(settings.entities * settings.properties), settings.start_temperature)
    properties = _block(settings.properties, settings.transition_temperature, state)
    shared = np.random.RandomState(settings.parameter_seed + _VALUE_SEED_STEP)
    mixed = _block(settings.entities, settings.transition_temperature, state if settings.own_entities else shared)
    entities = (1 - settings.identity) * mixed + settings.identity * np.eye(settings.entities)
    return start, properties, entities


def _block(size: int, temperature: float, state: np.random.RandomState) -> np.ndarray:
    """A mixture of as many random permutations as there are rows: the paper says 100, its code takes ``size``."""
    weights = _softmax(state.rand(size), temperature)
    return np.sum([weight * np.eye(size)[state.permutation(size)] for weight in weights], axis=0)


def _softmax(scores: np.ndarray, temperature: float) -> np.ndarray:
    powers = np.exp((scores - scores.max()) / temperature)
    return powers / powers.sum()


def _words() -> Iterator[str]:
    lengths = range(1, len(ascii_lowercase))
    return ("".join(letters) for letters in chain.from_iterable(permutations(ascii_lowercase, n) for n in lengths))
