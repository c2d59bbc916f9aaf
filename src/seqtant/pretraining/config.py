"""What a user can ask of the pretraining room: one frozen configuration per verb."""

from __future__ import annotations

from dataclasses import dataclass, field

from seqtant.errors import InputError
from seqtant.pretraining.sections import (
    Arm,
    EmbedSettings,
    ExampleSettings,
    FilterSettings,
    NeighborSettings,
    SegmentSettings,
    Strategy,
)
from seqtant.ranges import at_least, at_most, between, fraction, positive

_MOST_GIGABYTES = 4


@dataclass(frozen=True, kw_only=True)
class PackConfig:
    """Documents packed into windows by their lengths alone."""

    lengths: str | None = None
    """JSON list of document lengths in tokens; by default the five of the published example: 14, 7, 5, 2, 3."""
    window: int = 8
    """Tokens that fit into one window."""
    strategy: Strategy = "best-fit"
    """``best-fit`` cuts only what is longer than a window; ``tour`` keeps the given order as far as it can and closes
    gaps from a buffer; ``wrapped`` concatenates everything and cuts."""
    buffer: int = 256
    """Documents ahead among which ``tour`` may choose."""

    def __post_init__(self) -> None:
        at_least(1, window=self.window, buffer=self.buffer)

    @classmethod
    def smoke(cls) -> PackConfig:
        """The published example of five documents."""
        return cls()


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """From a corpus to training examples, stage by stage."""

    corpus: tuple[str, ...] = ("reference",)
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
    workers: int = 1
    """Processes for cutting and embedding; changes no result."""

    def __post_init__(self) -> None:
        at_least(1, workers=self.workers)
        if not self.corpus:
            raise InputError("no corpus: name text files, JSON lines, Parquet files or folders of such")

    @classmethod
    def smoke(cls) -> BuildConfig:
        """The small world that ships."""
        return cls(
            segment=SegmentSettings(vocabulary=400, shortest=3),
            embed=EmbedSettings(dimension=32, buckets=1024),
            examples=ExampleSettings(arms=("knn", "random", "split", "contiguous", "tour", "stream"), window=64),
        )


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """What built examples are made of."""

    folder: str | None = None
    """Folder that ``build`` wrote; by default a small one is built from the world that ships."""
    distances: int = 6
    """Distances between segments, in segments, up to which pairs are compared."""
    model: str | None = None
    """Causal language model on which to prove that segments of an example see each other; None leaves that out."""

    def __post_init__(self) -> None:
        at_least(1, distances=self.distances)

    @classmethod
    def smoke(cls) -> AuditConfig:
        """A small build of the world that ships."""
        return cls()


@dataclass(frozen=True, kw_only=True)
class BiasConfig:
    """What a model gains from related text in its context, against one gradient step on that text."""

    model: str = "reference"
    """Hugging Face folder, hub name, or ``reference`` for the model that ships."""
    corpus: tuple[str, ...] = ()
    """Text from which pairs of related segments are taken; by default short stories of the world that ships, in simple
    English words: something is said to lie somewhere, and later asked for."""
    pairs: int = 64
    """Number of pairs."""
    relative_steps: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    """Gradient steps tried, as length of the weights' change over their length. The first counts: one sentence's share
    of a training step is about 1e-4 where a batch of ten thousand unrelated sentences moves the weights by one
    percent. The others show what a much longer step would do."""
    longest: int = 64
    """Tokens after which a segment of the corpus is cut."""

    def __post_init__(self) -> None:
        at_least(4, pairs=self.pairs)
        at_least(2, longest=self.longest)
        if not self.relative_steps:
            raise InputError("relative_steps is empty: give at least one step, e.g. 0.001")
        for step in self.relative_steps:
            between(1e-12, 1, relative_steps=step)

    @classmethod
    def smoke(cls) -> BiasConfig:
        """The model that ships, few pairs."""
        return cls(pairs=16, relative_steps=(1e-4, 1e-3))


@dataclass(frozen=True, kw_only=True)
class EpsilonRankConfig:
    """How much of two texts' joint structure a small network keeps: in context, and across one gradient step."""

    depths: tuple[int, ...] = (1, 2, 3, 4)
    """Layers of the networks."""
    width: int = 16
    """Width of the residual stream."""
    heads: int = 2
    """Attention heads; must divide the width."""
    vocabulary: int = 30
    """Words."""
    words: int = 4
    """Words of each text."""
    texts: int = 100
    """Earlier texts, and later texts; no rank can be larger."""
    relative_steps: tuple[float, ...] = (1e-2, 1e-3, 1e-4)
    """Steps, as mean length of the weights' change over their length."""
    precisions: tuple[float, ...] = (1e-2, 1e-3)
    """Precisions eps, relative to the largest output."""
    networks: int = 1
    """Random networks: the first gives the table, all of them the gap between one pass and one step."""

    def __post_init__(self) -> None:
        at_least(1, heads=self.heads, width=self.width, networks=self.networks)
        at_least(2, vocabulary=self.vocabulary, words=self.words, texts=self.texts)
        if self.width % self.heads:
            raise InputError(f"heads is {self.heads}: it must divide the width {self.width}")
        for name in ("depths", "relative_steps", "precisions"):
            if not getattr(self, name):
                raise InputError(f"{name} is empty: give at least one")
        for depth in self.depths:
            at_least(1, depths=depth)
        for number in (*self.relative_steps, *self.precisions):
            between(1e-12, 1, **{"relative_steps and precisions": number})
        self._demand_memory()

    def _demand_memory(self) -> None:
        """Refuses what would hold more gradients at a time than a common machine."""
        at_most(2000, texts=self.texts)
        weights = 4 * max(self.depths) * self.width**2 + 2 * (self.vocabulary + self.words) * self.width
        gigabytes = 8e-9 * self.texts * weights
        if gigabytes > _MOST_GIGABYTES:
            raise InputError(
                f"texts is {self.texts} and width {self.width}: the gradients of all texts take {gigabytes:.0f} GB, "
                "give fewer texts or a smaller width"
            )

    @classmethod
    def smoke(cls) -> EpsilonRankConfig:
        """Two layers, one step, one precision."""
        return cls(depths=(2,), relative_steps=(1e-4,), precisions=(1e-3,))

    @classmethod
    def cpu(cls) -> EpsilonRankConfig:
        """The whole table, and the gap in twenty networks."""
        return cls(networks=20)


@dataclass(frozen=True, kw_only=True)
class DeficitConfig:
    """The derived bound in numbers: how many layers are lost between texts in different examples."""

    depth: int = 12
    """Layers of the network."""
    step: float = 1e-2
    """Length of the step over the radius in which the network is analytic: learning rate times gradient over radius."""
    precision: float = 1e-6
    """Precision relative to the network's bound in that radius."""
    span: float = 1e8
    """Dimension of the span of the gradients: at most the number of weights, and of earlier texts."""

    def __post_init__(self) -> None:
        at_least(1, depth=self.depth)
        if self.depth > 600:
            raise InputError(f"depth is {self.depth}: the closed forms reach 600 layers, give fewer")
        positive(span=self.span)
        fraction(step=self.step, precision=self.precision)

    @classmethod
    def smoke(cls) -> DeficitConfig:
        """A 12-layer network."""
        return cls()


@dataclass(frozen=True, kw_only=True)
class ComposeConfig:
    """Two facts about one entity, in one example or in two: can the model join them?"""

    entities: int = 100
    """Entities; half of them are also shown with the two facts joined."""
    values: int = 10
    """Different final values: chance is one over it."""
    depth: int = 2
    """Layers of the decoder."""
    width: int = 64
    """Width of the decoder."""
    steps: int = 600
    """Optimizer steps per run."""
    rows: int = 128
    """Examples per step."""
    joined_share: float = 0.25
    """Share of the examples that show joined facts."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    seeds: int = 5
    """Runs per arm; runs of equal seed share facts and first weights."""

    def __post_init__(self) -> None:
        at_least(4, entities=self.entities)
        at_least(2, values=self.values)
        at_least(1, depth=self.depth, width=self.width, steps=self.steps, rows=self.rows, seeds=self.seeds)
        between(0, 1, joined_share=self.joined_share)
        positive(learning_rate=self.learning_rate)

    @classmethod
    def smoke(cls) -> ComposeConfig:
        """A few steps: shows the course, decides nothing."""
        return cls(entities=20, steps=20, seeds=2, rows=32, width=32)

    @classmethod
    def cpu(cls) -> ComposeConfig:
        """Five seeds."""
        return cls()


@dataclass(frozen=True, kw_only=True)
class CompareArmsConfig:
    """A small decoder trained on each arm of a build, from the same weights, for the same steps."""

    folder: str | None = None
    """Folder that ``build`` wrote with held-out documents; by default a small one from the world that ships."""
    arms: tuple[Arm, ...] = ("knn", "split", "random")
    """Arms to train on; the first is compared with each of the others."""
    depth: int = 4
    """Layers of the decoder."""
    width: int = 128
    """Width of the decoder."""
    heads: int = 4
    """Attention heads."""
    steps: int = 400
    """Optimizer steps per run."""
    rows: int = 16
    """Examples per step."""
    learning_rate: float = 2e-3
    """Peak learning rate."""
    seeds: int = 3
    """Runs per arm."""
    anchors: int = 400
    """Held-out segments on which the losses are measured."""

    def __post_init__(self) -> None:
        at_least(1, depth=self.depth, width=self.width, heads=self.heads, steps=self.steps, rows=self.rows)
        at_least(2, seeds=self.seeds, anchors=self.anchors)
        positive(learning_rate=self.learning_rate)
        if len(self.arms) < 2 or len(set(self.arms)) != len(self.arms):
            raise InputError(f"arms is {list(self.arms)}: give at least two, each once")
        if self.width % self.heads:
            raise InputError(f"heads is {self.heads}: it must divide the width {self.width}")

    @classmethod
    def smoke(cls) -> CompareArmsConfig:
        """A few steps: shows the course, decides nothing."""
        return cls(depth=1, width=32, heads=2, steps=6, rows=4, seeds=2, anchors=20)

    @classmethod
    def cpu(cls) -> CompareArmsConfig:
        """The size for a corpus of a few million words on two cores; name the folder."""
        return cls()


@dataclass(frozen=True, kw_only=True)
class TaptConfig:
    """Task-adaptive pretraining of a masked language model, with and without neighbors in the same example."""

    model: str | None = None
    """Hugging Face folder of a masked language model; by default a tiny one with fresh weights."""
    folder: str | None = None
    """Folder that ``build`` wrote, with the model's tokenizer; by default a small one from the world that ships."""
    pairs: str | None = None
    """Scored sentence pairs, JSON lines with ``first``, ``second`` and ``score``; by default segments are compared by
    whether they come from the same document."""
    arms: tuple[Arm, ...] = ("knn", "split", "contiguous")
    """Arms to train on, each from the same weights."""
    steps: int = 200
    """Optimizer steps per arm."""
    rows: int = 16
    """Examples per step."""
    learning_rate: float = 1e-4
    """Peak learning rate."""
    masked: float = 0.15
    """Share of the tokens that are masked."""
    evaluation_pairs: int = 400
    """Sentence pairs on which similarity is measured."""

    def __post_init__(self) -> None:
        at_least(1, steps=self.steps, rows=self.rows)
        at_least(8, evaluation_pairs=self.evaluation_pairs)
        positive(learning_rate=self.learning_rate)
        between(0.01, 0.9, masked=self.masked)
        if not self.arms or len(set(self.arms)) != len(self.arms):
            raise InputError(f"arms is {list(self.arms)}: give at least one, each once")

    @classmethod
    def smoke(cls) -> TaptConfig:
        """A few steps of a tiny model."""
        return cls(steps=4, rows=4, evaluation_pairs=40)


CONFIGS: dict[str, type] = {
    "pack": PackConfig,
    "build": BuildConfig,
    "audit": AuditConfig,
    "bias": BiasConfig,
    "epsilon-rank": EpsilonRankConfig,
    "deficit": DeficitConfig,
    "compose": ComposeConfig,
    "compare-arms": CompareArmsConfig,
    "tapt": TaptConfig,
}
"""Verb -> its configuration."""
