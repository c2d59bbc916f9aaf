"""What can be asked of the reference model: to be trained, checked, sampled, or described."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from seqtant.errors import InputError
from seqtant.ranges import at_least
from seqtant.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class ShapeConfig:
    """Shape of the network, a Llama with tied embeddings."""

    hidden_size: int = 128
    """Width of the residual stream."""
    layers: int = 6
    """Number of blocks."""
    heads: int = 4
    """Attention heads; must divide the width."""
    intermediate_size: int = 352
    """Width of the gated feed-forward layers."""
    context_length: int = 256
    """Tokens of a training row, and most tokens the model reads."""

    def __post_init__(self) -> None:
        if self.hidden_size % self.heads:
            raise InputError(f"ShapeConfig.heads is {self.heads}: it must divide hidden_size ({self.hidden_size})")


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """A part of the training."""

    share: float
    """Its share of the steps, relative to the other stages."""
    length: int
    """Tokens after which documents are cut; also tokens of a row."""
    weights: dict[str, float] | None = None
    """Weight of each kind of document by name; None means those of the world."""

    eased: tuple[str, ...] = ()
    """Kinds that are drawn with easier chances in this stage: personas and tasks all alike, small digits often."""

    def __post_init__(self) -> None:
        if self.share <= 0 or self.length < 8:
            raise InputError(f"StageConfig needs a positive share and rows of 8 tokens or more, got {self}")


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """Measures a model against the world, by every requirement on the reference model."""

    model: str = "reference"
    """Model folder, or ``reference`` for the weights that ship."""
    documents: int = 1000
    """Held-out documents for the cross-entropy."""
    talks: int = 150
    """Talks per persona."""
    sentences: int = 24
    """Sentences of each of these talks."""
    games: int = 40
    """Games per task and number of shots."""
    shots: tuple[int, ...] = (0, 1, 2, 3, 4, 6, 8, 12, 16, 20)
    """Numbers of shots."""
    problems: int = 100
    """Problems per number of digits."""

    def __post_init__(self) -> None:
        at_least(2, documents=self.documents, talks=self.talks)
        at_least(1, sentences=self.sentences, games=self.games, problems=self.problems)

    @classmethod
    def smoke(cls) -> CheckConfig:
        """Seconds: wide intervals."""
        return cls(documents=60, talks=12, sentences=8, games=4, shots=(0, 2, 8), problems=12)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Trains the reference model from nothing."""

    shape: ShapeConfig = field(default_factory=ShapeConfig)
    """Shape of the network."""
    tokens: int = 2048
    """Tokens of a batch."""
    stages: tuple[StageConfig, ...] = (
        StageConfig(
            share=0.35,
            length=64,
            weights={"talk": 0.18, "game": 0.22, "sums": 0.30, "book": 0.10, "story": 0.20},
            eased=("talk", "sums"),
        ),
        StageConfig(
            share=0.20,
            length=128,
            weights={"talk": 0.30, "game": 0.30, "sums": 0.14, "book": 0.10, "story": 0.16},
            eased=("talk",),
        ),
        StageConfig(share=0.45, length=256),
    )
    """The training documents: first short ones, eased; at last the world as it is."""
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            steps=10000,
            learning_rate=2e-3,
            warmup=300,
            final_fraction=0.01,
            weight_decay=0.1,
            evaluate_every=1000,
            checkpoint_every=500,
        )
    )
    """Course of the training."""
    held_out: int = 200
    """Documents on which the gap to the world is followed during training."""
    check: CheckConfig = field(default_factory=CheckConfig)
    """How the finished model is measured; its ``model`` is not used."""

    @classmethod
    def smoke(cls) -> TrainConfig:
        """Under a minute: shows that the recipe runs; the model learns little."""
        small = cls()
        return replace(
            small,
            shape=ShapeConfig(hidden_size=48, layers=2, heads=3, intermediate_size=96, context_length=128),
            tokens=1024,
            stages=(StageConfig(share=0.5, length=64), StageConfig(share=0.5, length=128)),
            training=replace(small.training, steps=40, warmup=5, evaluate_every=20, checkpoint_every=20),
            held_out=20,
            check=CheckConfig.smoke(),
        )

    @classmethod
    def cpu(cls) -> TrainConfig:
        """The model that ships: at most an hour on two idle CPU cores."""
        return cls()


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """Draws documents from the model or from the world."""

    source: Literal["model", "world"] = "model"
    """Who speaks."""
    model: str = "reference"
    """Model folder, or ``reference`` for the weights that ship."""
    prompt: str = ""
    """Beginning of every document in words, such as ``talk :``; the kinds are talk, game, sums, book and story."""
    count: int = 5
    """Number of documents."""
    tokens: int = 60
    """Most tokens of each, the prompt included."""
    temperature: float = 1.0
    """Divides the model's logits; 0 takes the likeliest token; the world knows only 1."""

    def __post_init__(self) -> None:
        at_least(1, count=self.count, tokens=self.tokens)


@dataclass(frozen=True, kw_only=True)
class DescribeConfig:
    """Tells what is true of the world."""

    negative: tuple[str, ...] = ("gloomy", "grumpy")
    """Personas that count as negative."""
    sentences: int = 24
    """Longest prompt, in sentences, that is followed exactly."""

    def __post_init__(self) -> None:
        at_least(1, sentences=self.sentences)


CONFIGS = {"train": TrainConfig, "check": CheckConfig, "sample": SampleConfig, "describe": DescribeConfig}
