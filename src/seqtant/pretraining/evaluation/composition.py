"""Two facts about one entity, shown in one example or in two: can a model trained so join them?

"e r1 a" and "a r2 b" are shown for every entity e; the joined fact "e r12 b" for half of them. Asked for the other
half, a model can only answer by joining. Order of the two facts and their places in the row are random, so that arms
differ in company alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int

from seqtant.models.decoder import Decoder
from seqtant.models.decoder_config import DecoderConfig
from seqtant.pretraining.config import ComposeConfig
from seqtant.training import TrainingConfig, train

ComposeArm = Literal["knn", "split", "random"]
ARMS: tuple[ComposeArm, ...] = ("knn", "split", "random")

LENGTH = 8
"""Words of a row: two facts of three words and room to move."""
_FILLER, _FIRST, _SECOND, _JOINED = 0, 1, 2, 3
_RELATIONS = 4
_IGNORED = -100


@dataclass(frozen=True)
class Facts:
    """The facts of one seed; words are numbers: filler, three relations, entities, middles, values."""

    entities: int
    """Number of entities, and of middles."""
    values: int
    """Number of final values."""
    value_of: Int[np.ndarray, " entities"]
    """Final value of each entity."""
    middle_of: Int[np.ndarray, " entities"]
    """Middle of each entity; no two share one."""
    joined: Int[np.ndarray, " half"]
    """Entities whose joined fact is shown."""

    @classmethod
    def draw(cls, entities: int, values: int, generator: np.random.Generator) -> Facts:
        """Random facts; every final value is about equally frequent."""
        value_of = generator.permutation(np.arange(entities) % values)
        return cls(entities, values, value_of, generator.permutation(entities), generator.permutation(entities)[::2])

    @property
    def vocabulary(self) -> int:
        """Number of words."""
        return _RELATIONS + 2 * self.entities + self.values

    @cached_property
    def asked(self) -> Int[np.ndarray, " rest"]:
        """Entities whose joined fact is never shown."""
        return np.setdiff1d(np.arange(self.entities), self.joined)

    def value_words(self, entities: np.ndarray) -> np.ndarray:
        """Words of the final values."""
        return _RELATIONS + 2 * self.entities + self.value_of[entities]

    def first(self, entities: np.ndarray) -> np.ndarray:
        """Rows "e r1 a"."""
        middles = _RELATIONS + self.entities + self.middle_of[entities]
        return np.stack([_RELATIONS + entities, np.full_like(entities, _FIRST), middles], axis=1)

    def second(self, entities: np.ndarray) -> np.ndarray:
        """Rows "a r2 b"."""
        middles = _RELATIONS + self.entities + self.middle_of[entities]
        return np.stack([middles, np.full_like(entities, _SECOND), self.value_words(entities)], axis=1)

    def joined_facts(self, entities: np.ndarray) -> np.ndarray:
        """Rows "e r12 b"."""
        return np.stack([_RELATIONS + entities, np.full_like(entities, _JOINED), self.value_words(entities)], axis=1)


class FactBatches:
    """Batches of one arm, found from seed and step alone; arms of one seed show the same facts equally often.

    Args:
        facts: The facts.
        arm: ``knn`` shows both facts of an entity in one row; ``random`` those of different entities; ``split`` one
            fact per row, on twice as many rows.
        rows: Rows per step in the arms with two facts.
        joined_share: Share of the rows with a joined fact.
        seed: Seed of the draws.
    """

    def __init__(self, facts: Facts, arm: ComposeArm, *, rows: int, joined_share: float, seed: int) -> None:
        self.facts, self.arm, self.rows, self.seed = facts, arm, rows, seed
        self.joined_rows = round(rows * joined_share)
        self.fingerprint = f"facts {arm} {rows} {joined_share} {seed}"

    def batch(self, step: int) -> dict[str, Int[torch.Tensor, "rows words"]]:
        """The rows of one step."""
        generator = np.random.default_rng([self.seed, step])
        pairs = self.rows - self.joined_rows
        entities = generator.integers(self.facts.entities, size=pairs)
        others = entities if self.arm == "knn" else np.roll(entities, 1)
        joined = self.facts.joined_facts(generator.choice(self.facts.joined, self.joined_rows))
        first, second = self.facts.first(entities), self.facts.second(others)
        if self.arm == "split":
            rows = _placed([np.concatenate([first, second, joined])], generator)
        else:
            swap = (generator.random(pairs) < 0.5)[:, None]
            both = [np.where(swap, second, first), np.where(swap, first, second)]
            rows = np.concatenate([_placed(both, generator), _placed([joined], generator)])
        return {"input_ids": torch.from_numpy(rows), "labels": torch.from_numpy(_labels(rows))}


def _placed(facts: list[np.ndarray], generator: np.random.Generator) -> np.ndarray:
    """Facts one after the other at a random place of a row, fillers around and between them."""
    count = len(facts[0])
    rows = np.full((count, LENGTH), _FILLER, dtype=np.int64)
    room = LENGTH - 3 * len(facts)
    before = np.sort(generator.integers(room + 1, size=(count, len(facts))), axis=1)
    for number, fact in enumerate(facts):
        columns = before[:, number, None] + 3 * number + np.arange(3)
        np.put_along_axis(rows, columns, fact, axis=1)
    return rows


def _labels(rows: np.ndarray) -> np.ndarray:
    """The next word everywhere, as in pretraining; fillers are not learned."""
    return np.where(rows == _FILLER, _IGNORED, rows)


@dataclass(frozen=True)
class Accuracy:
    """Shares answered right, averaged over all places in the row."""

    held_out: float
    """Joined facts that were never shown: chance is one over the number of values."""
    shown: float
    """Joined facts that were shown."""
    first: float
    """First facts."""
    second: float
    """Second facts."""


@torch.no_grad()
def accuracy(model: torch.nn.Module, facts: Facts) -> Accuracy:
    """Asks the model at every place of the row."""
    everyone = np.arange(facts.entities)
    return Accuracy(
        held_out=_right(model, facts.joined_facts(facts.asked), facts),
        shown=_right(model, facts.joined_facts(facts.joined), facts),
        first=_right(model, facts.first(everyone), facts),
        second=_right(model, facts.second(everyone), facts),
    )


def _right(model: torch.nn.Module, questions: np.ndarray, facts: Facts) -> float:
    """Share of the questions whose answer scores best among answers of its kind."""
    shares = []
    kind = slice(_RELATIONS + facts.entities, _RELATIONS + 2 * facts.entities)
    if (questions[:, 1] != _FIRST).all():
        kind = slice(_RELATIONS + 2 * facts.entities, facts.vocabulary)
    for place in range(LENGTH - 2):
        rows = np.full((len(questions), place + 2), _FILLER, dtype=np.int64)
        rows[:, place:] = questions[:, :2]
        best = model(torch.from_numpy(rows))[:, -1, kind].argmax(dim=-1).numpy() + kind.start
        shares.append(float((best == questions[:, 2]).mean()))
    return float(np.mean(shares))


def run_arm(config: ComposeConfig, arm: ComposeArm, seed: int) -> Accuracy:
    """Trains one decoder on one arm and asks it."""
    facts = Facts.draw(config.entities, config.values, np.random.default_rng([seed, 1]))
    shape = DecoderConfig(vocabulary=facts.vocabulary, depth=config.depth, width=config.width, heads=4, context=LENGTH)
    model = Decoder(shape, generator=torch.Generator().manual_seed(seed))
    batches = FactBatches(facts, arm, rows=config.rows, joined_share=config.joined_share, seed=seed)
    settings = TrainingConfig(
        steps=config.steps,
        learning_rate=config.learning_rate,
        schedule="constant",
        weight_decay=0.01,
        betas=(0.9, 0.999),
    )
    train(model, batches, settings)
    return accuracy(model.eval(), facts)
