"""What can be asked of the reference model: to be trained, checked, sampled, or described."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from seqtant.errors import InputError
from seqtant.settings import Count, Positive, VerbConfig, config
from seqtant.sources import ModelSource
from seqtant.training.config import TrainingConfig

Several = Annotated[int, Field(ge=2)]
"""A number of samples that has a spread."""


@config
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


@config
class StageConfig:
    """A part of the training."""

    share: Positive
    """Its share of the steps, relative to the other stages."""
    length: Annotated[int, Field(ge=8)]
    """Tokens after which documents are cut; also tokens of a row."""
    weights: dict[str, float] | None = None
    """Weight of each kind of document by name; None means those of the world."""
    eased: tuple[str, ...] = ()
    """Kinds that are drawn with easier odds in this stage: personas and tasks all alike, small digits often."""


@config
class CheckSettings:
    """How much of everything a check measures."""

    documents: Several = 1000
    """Held-out documents for the cross-entropy."""
    talks: Several = 150
    """Talks per persona."""
    sentences: Count = 24
    """Sentences of each of these talks."""
    games: Count = 40
    """Games per task and number of shots."""
    shots: tuple[int, ...] = (0, 1, 2, 3, 4, 6, 8, 12, 16, 20)
    """Numbers of shots."""
    problems: Count = 100
    """Problems per number of digits."""


@config
class CheckConfig(VerbConfig, CheckSettings):
    """Measures a model against the world, by every requirement on the reference model."""

    verb: ClassVar[str] = "reference.check"
    model: ModelSource = field(default="reference", kw_only=False)
    """Model folder, or ``reference`` for the weights that ship."""


@config
class TrainConfig(VerbConfig):
    """Trains the reference model from nothing."""

    verb: ClassVar[str] = "reference.train"
    shape: ShapeConfig = field(default_factory=ShapeConfig)
    """Shape of the network."""
    tokens: Count = 2048
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
    held_out: Count = 200
    """Documents on which the gap to the world is followed during training."""
    check: CheckSettings = field(default_factory=CheckSettings)
    """How the finished model is measured."""


@config
class SampleConfig(VerbConfig):
    """Draws documents from the model or from the world."""

    verb: ClassVar[str] = "reference.sample"
    source: Literal["model", "world"] = "model"
    """Who speaks."""
    model: ModelSource = "reference"
    """Model folder, or ``reference`` for the weights that ship."""
    prompt: str = ""
    """Beginning of every document in words, such as ``talk :``; the kinds are talk, game, sums, book and story."""
    count: Count = 5
    """Number of documents."""
    tokens: Count = 60
    """Most tokens of each, the prompt included."""
    temperature: float = 1.0
    """Divides the model's logits; 0 takes the likeliest token; the world knows only 1."""


@config
class DescribeConfig(VerbConfig):
    """Describes what is true of the world."""

    verb: ClassVar[str] = "reference.describe"
    negative: tuple[str, ...] = ("gloomy", "grumpy")
    """Personas that count as negative."""
    sentences: Count = 24
    """Longest prompt, in sentences, that is followed exactly."""
