"""What can be asked of this package: one frozen configuration per verb."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from seqtant.errors import InputError
from seqtant.pretraining.sections import (
    Arms,
    EmbedSettings,
    ExampleSettings,
    FilterSettings,
    NeighborSettings,
    SegmentSettings,
    Sources,
    Strategy,
)
from seqtant.settings import Count, Positive, Share, VerbConfig, config
from seqtant.sources import ModelSource, ObjectOrPath, Rows

_MOST_GIGABYTES = 4


def _some(values: tuple[float, ...]) -> tuple[float, ...]:
    if not values:
        raise InputError("empty: give at least one")
    return values


TwoOrMore = Annotated[int, Field(ge=2)]
Fractions = Annotated[tuple[Annotated[float, Field(ge=1e-12, le=1)], ...], AfterValidator(_some)]
"""At least one number between 1e-12 and 1."""


@config
class PackConfig(VerbConfig):
    """Pack documents into windows by their lengths: how full, how many cut."""

    verb: ClassVar[str] = "pretraining.pack"
    lengths: ObjectOrPath | None = field(default=None, kw_only=False)
    """JSON list of document lengths in tokens; by default the five of the published example: 14, 7, 5, 2, 3."""
    window: Count = 8
    """Tokens that fit into one window."""
    strategy: Strategy = "best-fit"
    """``best-fit`` cuts only what is longer than a window; ``tour`` keeps the given order as far as it can and closes
    gaps from a buffer; ``wrapped`` concatenates everything and cuts."""
    buffer: Count = 256
    """Documents ahead among which ``tour`` may choose."""


@config
class BuildConfig(VerbConfig):
    """Build training examples from a corpus: cut, embed, search, filter, put together, audit.

    What a killed run has finished is not done again; --out keeps the examples, as Parquet files with a manifest.
    """

    verb: ClassVar[str] = "pretraining.build"
    corpus: Sources = field(default=("reference",), kw_only=False)
    """Text files, JSON lines, Parquet files, folders of such, saved data sets; or ``reference`` for the small world
    that ships."""
    segment: SegmentSettings = field(default_factory=SegmentSettings)
    """Cutting the text."""
    embed: EmbedSettings = field(default_factory=EmbedSettings)
    """Turning segments into vectors."""
    neighbors: NeighborSettings = field(default_factory=NeighborSettings)
    """Searching neighbors."""
    filter: FilterSettings = field(default_factory=FilterSettings)
    """Choosing among them."""
    examples: ExampleSettings = field(default_factory=ExampleSettings)
    """Putting examples together."""
    workers: Count = 1
    """Processes for cutting and embedding; changes no result."""

    def __post_init__(self) -> None:
        if not self.corpus:
            raise InputError("no corpus: name text files, JSON lines, Parquet files or folders of such")


@config
class AuditConfig(VerbConfig):
    """Audit built examples: company, near-duplicates, hubs, repeats, cuts, fill, test overlap."""

    verb: ClassVar[str] = "pretraining.audit"
    folder: ObjectOrPath | None = field(default=None, kw_only=False)
    """Folder that ``build`` wrote; by default a small one is built from the world that ships."""
    distances: Count = 6
    """Distances between segments, in segments, up to which pairs are compared."""
    model: ModelSource | None = None
    """Causal language model on which to prove that segments of an example see each other; None leaves that out."""


@config
class BiasConfig(VerbConfig):
    """Measure what a model gains from related text: in its context, and by one gradient step."""

    verb: ClassVar[str] = "pretraining.bias"
    model: ModelSource = field(default="reference", kw_only=False)
    """Hugging Face folder, hub name, or ``reference`` for the model that ships."""
    corpus: Sources = field(default=(), kw_only=False)
    """Text from which pairs of related segments are taken; by default short stories of the world that ships, in simple
    English words: something is said to lie somewhere, and later asked for."""
    pairs: Annotated[int, Field(ge=4)] = 64
    """Number of pairs."""
    relative_steps: Fractions = (1e-4, 1e-3, 1e-2)
    """Gradient steps tried, as length of the weights' change over their length. The first counts: one sentence's share
    of a training step is about 1e-4 where a batch of ten thousand unrelated sentences moves the weights by one
    percent. The others show what a much longer step would do."""
    longest: TwoOrMore = 64
    """Tokens after which a segment of the corpus is cut."""


@config
class EpsilonRankConfig(VerbConfig):
    """Bound the effective separation rank of small networks, in context and across a gradient step."""

    verb: ClassVar[str] = "pretraining.epsilon-rank"
    depths: Annotated[tuple[Count, ...], AfterValidator(_some)] = (1, 2, 3, 4)
    """Layers of the networks."""
    width: Count = 16
    """Width of the residual stream."""
    heads: Count = 2
    """Attention heads; must divide the width."""
    vocabulary: TwoOrMore = 30
    """Words."""
    words: TwoOrMore = 4
    """Words of each text."""
    texts: Annotated[int, Field(ge=2, le=2000)] = 100
    """Earlier texts, and later texts; no rank can be larger."""
    relative_steps: Fractions = (1e-2, 1e-3, 1e-4)
    """Steps, as mean length of the weights' change over their length."""
    precisions: Fractions = (1e-2, 1e-3)
    """Precisions eps, relative to the largest output."""
    networks: Count = 1
    """Random networks: the first gives the table, all of them the gap between one pass and one step."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise InputError(f"heads is {self.heads}: it must divide the width {self.width}")
        # The gradients of all texts are held at a time, 8 bytes each.
        weights = 4 * max(self.depths) * self.width**2 + 2 * (self.vocabulary + self.words) * self.width
        gigabytes = 8e-9 * self.texts * weights
        if gigabytes > _MOST_GIGABYTES:
            raise InputError(
                f"texts is {self.texts} and width {self.width}: the gradients of all texts take {gigabytes:.0f} GB, "
                "give fewer texts or a smaller width"
            )


@config
class DeficitConfig(VerbConfig):
    """Evaluate the derived bound: layers lost between texts in different examples."""

    verb: ClassVar[str] = "pretraining.deficit"
    depth: Annotated[int, Field(ge=1, le=600)] = 12
    """Layers of the network; the closed forms reach 600."""
    step: Share = 1e-2
    """Length of the step over the radius in which the network is analytic: learning rate times gradient over radius."""
    precision: Share = 1e-6
    """Precision relative to the network's bound in that radius."""
    span: Positive = 1e8
    """Dimension of the span of the gradients: at most the number of weights, and of earlier texts."""


@config
class ComposeConfig(VerbConfig):
    """Train on two facts in one example or in two: can the model join them?"""

    verb: ClassVar[str] = "pretraining.compose"
    entities: Annotated[int, Field(ge=4)] = 100
    """Entities; half of them are also shown with the two facts joined."""
    values: TwoOrMore = 10
    """Different final values: chance is one over it."""
    depth: Count = 2
    """Layers of the decoder."""
    width: Count = 64
    """Width of the decoder."""
    steps: Count = 600
    """Optimizer steps per run."""
    rows: Count = 128
    """Examples per step."""
    joined_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Share of the examples that show joined facts."""
    learning_rate: Positive = 1e-3
    """Peak learning rate."""
    seeds: Count = 5
    """Runs per arm; runs of equal seed share facts and first weights."""


@config
class CompareArmsConfig(VerbConfig):
    """Train a small decoder on each arm and compare them on the same held-out text.

    All runs take the same number of steps; those of equal seed start from the same weights.
    """

    verb: ClassVar[str] = "pretraining.compare-arms"
    folder: ObjectOrPath | None = field(default=None, kw_only=False)
    """Folder that ``build`` wrote with held-out documents; by default a small one from the world that ships."""
    arms: Arms = ("knn", "split", "random")
    """Arms to train on (may be repeated); the first is compared with each of the others."""
    depth: Count = 4
    """Layers of the decoder."""
    width: Count = 128
    """Width of the decoder."""
    heads: Count = 4
    """Attention heads."""
    steps: Count = 400
    """Optimizer steps per run."""
    rows: Count = 16
    """Examples per step."""
    learning_rate: Positive = 2e-3
    """Peak learning rate."""
    seeds: TwoOrMore = 3
    """Runs per arm."""
    anchors: TwoOrMore = 400
    """Held-out segments on which the losses are measured."""

    def __post_init__(self) -> None:
        if len(self.arms) < 2:
            raise InputError(f"arms is {list(self.arms)}: give at least two, each once")
        if self.width % self.heads:
            raise InputError(f"heads is {self.heads}: it must divide the width {self.width}")


@config
class TaptConfig(VerbConfig):
    """Adapt a masked language model to text with and without neighbors in the same example."""

    verb: ClassVar[str] = "pretraining.tapt"
    model: ModelSource | None = field(default=None, kw_only=False)
    """Hugging Face folder of a masked language model; by default a tiny one with fresh weights."""
    folder: ObjectOrPath | None = field(default=None, kw_only=False)
    """Folder that ``build`` wrote, with the model's tokenizer; by default a small one from the world that ships."""
    pairs: Rows | None = field(default=None, kw_only=False)
    """Scored sentence pairs, JSON lines with ``first``, ``second`` and ``score``; by default segments are compared by
    whether they come from the same document."""
    arms: Arms = ("knn", "split", "contiguous")
    """Arms to train on (may be repeated), each from the same weights."""
    steps: Count = 200
    """Optimizer steps per arm."""
    rows: Count = 16
    """Examples per step."""
    learning_rate: Positive = 1e-4
    """Peak learning rate."""
    masked: Annotated[float, Field(ge=0.01, le=0.9)] = 0.15
    """Share of the tokens that are masked."""
    evaluation_pairs: Annotated[int, Field(ge=8)] = 400
    """Sentence pairs on which similarity is measured."""
