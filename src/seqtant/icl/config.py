"""What a user can ask of the room of in-context learning: one frozen configuration per verb."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from seqtant.errors import InputError
from seqtant.ranges import at_least, fraction
from seqtant.training.config import TrainingConfig

LabelLaw = Literal["gold", "random", "permuted"]
NetworkName = Literal["gpt2", "llama", "lstm"]
VARIANTS = (
    "gold",
    "random",
    "marginal",
    "75_correct",
    "50_correct",
    "25_correct",
    "0_correct",
    "permuted",
    "abstract",
    "foreign_inputs",
    "labels_only",
    "inputs_only",
)
"""Ways to corrupt the examples of a prompt, after Min et al. (arXiv 2202.12837)."""


def _ascending(name: str, numbers: tuple[int, ...]) -> None:
    if not numbers or min(numbers) < 0 or list(numbers) != sorted(set(numbers)):
        raise InputError(f"{name} are {list(numbers)}: give different whole numbers from 0 on, in ascending order")


@dataclass(frozen=True, kw_only=True)
class BoundConfig:
    """The bounds alone: how many shots the theory promises, and whether it promises anything."""

    c1: float = 1.0
    """Dependence across the delimiter: probabilities of examples multiply up to a factor between c1 and 1/c1."""
    c2: float = 0.1
    """Smallest probability of a token in any task."""
    c3: float = 0.5
    """Smallest prior probability of a task, at most 1/2."""
    length: int = 20
    """Tokens per example: input, label and delimiter."""
    kl: float = 35.156
    """Divergence of a whole example from the nearest rival task, in nats. Default: 20 bits, 0.9 against 0.1."""
    eps: float = 0.05
    """Posterior odds left to the other tasks."""
    delta: float = 0.05
    """Probability that the prompt is unlucky."""
    flipped: bool = False
    """Whether the prompt's labels may be wrong (refined forms; the published bound always allows it)."""
    shared_delimiter: bool = False
    """Whether every task gives the delimiter the same probability (refined forms)."""
    margin: float | None = None
    """Margin of the right label under its task; with it the theorems on margins are evaluated too."""

    def __post_init__(self) -> None:
        if self.margin is not None and not 0 <= self.margin <= 1:
            raise InputError(f"margin is {self.margin}: a difference of two probabilities lies between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class TaskSource:
    """Which model, and which tasks it may be shown."""

    model: str = "reference"
    """Hugging Face folder, hub name, ``reference`` for the model that ships, or ``world`` for its exact oracle."""
    tasks: tuple[str, ...] = ()
    """JSON files or registered names, one per task; by default the labeling games of the reference world."""
    shots: int = 16
    """Most examples in a prompt."""
    prompts: int = 200
    """Prompts per task; each gives one query after every number of shots."""
    contexts: int = 4
    """Many-shot contexts that stand for a task; their mean probability is taken."""
    context_shots: int = 20
    """Examples in each of these contexts; no prompt shows them."""
    examples: int = 200
    """Held-out examples per task from which divergences are measured."""
    tokens_per_batch: int | None = None
    """Most tokens in one forward pass; None suits the device."""
    dtype: str | None = None
    """Number type to load the model in; float32 on a CPU and the checkpoint's own elsewhere."""

    def __post_init__(self) -> None:
        at_least(1, shots=self.shots, contexts=self.contexts, context_shots=self.context_shots)
        at_least(2, prompts=self.prompts, examples=self.examples)
        at_least(1, tokens_per_batch=self.tokens_per_batch)


@dataclass(frozen=True, kw_only=True)
class ShotsConfig(TaskSource):
    """How many shots each task needs: predicted from single examples, measured in prompts."""

    eps: float = 0.05
    """Accuracy that may be missing to the many-shot plateau; also the posterior odds left to other tasks."""
    delta: float = 0.05
    """Share of prompts that may identify the task later."""
    pairs: int = 60
    """Pairs of examples per task from which the drift across delimiters is measured."""
    resamples: int = 1000
    """Resamples of the bootstrap over prompts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction(eps=self.eps, delta=self.delta)
        at_least(2, pairs=self.pairs, resamples=self.resamples)

    @classmethod
    def smoke(cls) -> ShotsConfig:
        """Seconds on one core: wide intervals."""
        return cls(shots=4, prompts=6, contexts=1, context_shots=6, examples=8, pairs=2, resamples=20)


@dataclass(frozen=True, kw_only=True)
class PosteriorConfig(TaskSource):
    """Which task the model takes a prompt for, shot by shot."""

    prompt: str | None = None
    """JSON lines with ``input`` and ``label``: one prompt of yours, shot by shot; by default prompts of every task."""
    prompts: int = 40
    """Prompts per task."""
    contexts: int = 2
    """Many-shot contexts that stand for a task."""
    examples: int = 100
    """Held-out examples per task from which evidence per shot is predicted."""
    probes: int = 6
    """Inputs that are asked after every shot, to read the task off the model's answers."""
    stuck: float = 0.5
    """A prompt whose true task has less posterior than this after the last shot is called stuck."""

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction(stuck=self.stuck)
        at_least(1, probes=self.probes)

    @classmethod
    def smoke(cls) -> PosteriorConfig:
        """Seconds on one core."""
        return cls(shots=2, prompts=3, contexts=1, context_shots=6, examples=8, probes=2)


@dataclass(frozen=True, kw_only=True)
class CorruptConfig(TaskSource):
    """What wrong labels and foreign inputs do to a prompt: predicted by the flip law, measured."""

    variants: tuple[str, ...] = VARIANTS
    """Ways to corrupt the examples: gold, random, marginal, 75_correct to 0_correct, permuted, abstract,
    foreign_inputs, labels_only, inputs_only."""
    prompts: int = 40
    """Prompts per task and variant."""
    contexts: int = 2
    """Many-shot contexts that stand for a task."""
    examples: int = 100
    """Held-out examples per task from which the flip law is predicted."""
    abstract: tuple[str, ...] = ()
    """Words that stand for labels in the variant ``abstract``; by default those of the tasks, else A, B, C, ..."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.variants:
            if name not in VARIANTS:
                raise InputError(f"unknown variant '{name}': known are {', '.join(VARIANTS)}")
        if len(set(self.variants)) < len(self.variants):
            raise InputError(f"variants are {list(self.variants)}: name each once")
        if "gold" not in self.variants:
            raise InputError("variants must include gold: it is what the others are held against")

    @classmethod
    def smoke(cls) -> CorruptConfig:
        """Seconds on one core."""
        return cls(
            variants=("gold", "random", "abstract", "inputs_only"),
            shots=3,
            prompts=3,
            contexts=1,
            context_shots=6,
            examples=8,
        )


@dataclass(frozen=True, kw_only=True)
class OrderConfig(TaskSource):
    """How much the order of the examples matters."""

    shots: int = 4
    """Examples in a prompt."""
    prompts: int = 6
    """Sets of examples per task."""
    contexts: int = 1
    """Many-shot contexts that are set aside; this study reads none."""
    examples: int = 60
    """Held-out examples per task that queries are drawn from."""
    orders: int = 24
    """Orders of each set: all of them where there are no more, else so many drawn."""
    queries: int = 12
    """Queries asked of each order."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(2, shots=self.shots, orders=self.orders, queries=self.queries)

    @classmethod
    def smoke(cls) -> OrderConfig:
        """Seconds on one core."""
        return cls(shots=3, prompts=2, orders=6, queries=4, contexts=1, context_shots=4, examples=4)


@dataclass(frozen=True, kw_only=True)
class GincSource:
    """Where the parameters of GINC come from."""

    vocabulary: int = 50
    """Number of symbols; 50, 100 and 150 are published."""
    identity: float = 0.9
    """Share of staying with the same entity; 0 is the published ablation."""
    own_entities: bool = False
    """Whether every concept has entity transitions of its own."""
    parameter_seed: int = 1111
    """Seed of the parameters; 1111 is the published one."""
    parameters: str | None = None
    """Folder with parameters that ``ginc make`` wrote, instead of drawing them."""


@dataclass(frozen=True, kw_only=True)
class GincMakeConfig(GincSource):
    """Write the data set: parameters, documents, prompts."""

    documents: int = 1000
    """Training documents."""
    document_length: int = 10240
    """Symbols of each."""
    validation: int = 100
    """Validation documents."""
    validation_length: int = 1024
    """Symbols of each."""
    prompts: int = 2500
    """Prompts per length of an example."""
    example_lengths: tuple[int, ...] = (3, 5, 8, 10)
    """Symbols of an example, label included."""
    shots: int = 64
    """Most shots of a prompt; it holds every smaller number."""

    def __post_init__(self) -> None:
        at_least(1, documents=self.documents, validation=self.validation, prompts=self.prompts)
        at_least(2, document_length=self.document_length, validation_length=self.validation_length)
        at_least(0, shots=self.shots)
        at_least(2, **{f"example length {length}": length for length in self.example_lengths})

    @classmethod
    def smoke(cls) -> GincMakeConfig:
        """A few documents and prompts."""
        return cls(documents=4, document_length=256, validation=4, validation_length=128, prompts=6, shots=8)


@dataclass(frozen=True, kw_only=True)
class GincPrompts(GincSource):
    """Which prompts of GINC are asked."""

    example_length: int = 3
    """Symbols of an example, label included: the paper's k."""
    shots: tuple[int, ...] = (0, 1, 2, 4, 8, 16, 32, 64)
    """Numbers of shots: the paper's n."""
    labels: LabelLaw = "gold"
    """Labels that prompts show: gold, random symbols, or the prompt's own in random order."""
    outside: bool = False
    """Whether prompts follow patterns that no concept in distribution writes."""
    prompts: int = 1000
    """Number of prompts; each is asked after every number of shots."""
    smoothing: float = 0.01
    """Share of uniform transitions in the exact filter: prompts jump where no concept does."""
    documents: int = 100
    """Documents for the cross-entropy."""
    document_length: int = 1024
    """Symbols of each."""

    def __post_init__(self) -> None:
        _ascending("shots", self.shots)
        at_least(2, example_length=self.example_length, prompts=self.prompts, documents=self.documents)
        at_least(2, document_length=self.document_length)
        if not 0 < self.smoothing < 1:
            raise InputError(f"smoothing is {self.smoothing}: between 0 and 1, since unsmoothed prompts are impossible")


@dataclass(frozen=True, kw_only=True)
class GincBayesConfig(GincPrompts):
    """The exact Bayes predictor on prompts of GINC."""

    @classmethod
    def smoke(cls) -> GincBayesConfig:
        """A second: few prompts."""
        return cls(shots=(0, 1, 4), prompts=20, documents=4, document_length=128)


@dataclass(frozen=True, kw_only=True)
class GincEvalConfig(GincPrompts):
    """A trained model on prompts of GINC, beside exact Bayes on the same prompts."""

    model: str | None = None
    """Folder that ``ginc train`` wrote, or a Hugging Face folder over GINC's ids; none: a tiny one is trained."""
    example_length: int = 10
    """Symbols of an example, label included."""
    prompts: int = 300
    """Number of prompts; each is asked after every number of shots."""

    @classmethod
    def smoke(cls) -> GincEvalConfig:
        """Seconds: a tiny model, few prompts."""
        return cls(example_length=5, shots=(0, 1, 4), prompts=20, documents=4, document_length=128)


@dataclass(frozen=True, kw_only=True)
class GincNetwork:
    """Shape of the network that learns GINC."""

    name: NetworkName = "llama"
    """gpt2 (published), llama (rotary positions, learns with fewer tokens) or lstm."""
    layers: int = 3
    """Number of layers."""
    width: int = 96
    """Width."""
    heads: int = 4
    """Attention heads; must divide the width."""
    dropout: float = 0.0
    """Dropout."""

    def __post_init__(self) -> None:
        at_least(1, layers=self.layers, width=self.width, heads=self.heads)
        if self.name != "lstm" and self.width % self.heads:
            raise InputError(f"network.heads is {self.heads}: it must divide the width {self.width}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"network.dropout is {self.dropout}: it must lie between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class GincTrainConfig(GincSource):
    """Train a network on documents of GINC, then ask it prompts."""

    network: GincNetwork = field(default_factory=GincNetwork)
    """The network."""
    context: int = 256
    """Symbols of a training row."""
    rows: int = 16
    """Rows of a batch."""
    documents: int = 0
    """Training documents of 10240 symbols, read again and again as published; 0 draws new ones for every step."""
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            steps=2000, learning_rate=3e-3, warmup=100, final_fraction=0.02, checkpoint_every=500
        )
    )
    """Course of the training."""
    example_lengths: tuple[int, ...] = (3, 5, 10)
    """Symbols of an example in the prompts asked afterwards."""
    shots: tuple[int, ...] = (0, 1, 2, 4, 8, 16)
    """Numbers of shots."""
    prompts: int = 300
    """Prompts per length of an example."""
    validation: int = 100
    """Fresh documents on which the loss is measured."""

    def __post_init__(self) -> None:
        _ascending("shots", self.shots)
        at_least(1, rows=self.rows)
        at_least(2, context=self.context, prompts=self.prompts, validation=self.validation)
        longest = max(self.example_lengths, default=2)
        if (max(self.shots) + 1) * (longest + 1) > self.context:
            raise InputError(
                f"{max(self.shots)} shots of {longest} symbols do not fit a context of {self.context}: ask fewer shots"
            )

    @classmethod
    def smoke(cls) -> GincTrainConfig:
        """Seconds: shows that the recipe runs; the network learns nearly nothing."""
        return cls(
            network=GincNetwork(layers=1, width=32, heads=2),
            context=64,
            rows=8,
            training=TrainingConfig(steps=20, learning_rate=3e-3, warmup=5),
            example_lengths=(3,),
            shots=(0, 1, 4),
            prompts=20,
            validation=4,
        )

    @classmethod
    def gpu(cls) -> GincTrainConfig:
        """The published setting with 12 layers: GPT-2 small, 10 million symbols read five times."""
        small = cls()
        return replace(
            small,
            network=GincNetwork(name="gpt2", layers=12, width=768, heads=12, dropout=0.1),
            context=1024,
            rows=8,
            documents=1000,
            training=TrainingConfig(
                steps=6250,
                learning_rate=8e-4,
                schedule="linear",
                warmup=1000,
                final_fraction=0.0,
                precision="bf16",
                evaluate_every=1000,
                checkpoint_every=1000,
            ),
            example_lengths=(3, 5, 8, 10),
            shots=(0, 1, 2, 4, 8, 16, 32, 64),
            prompts=2500,
        )


CONFIGS: dict[str, type] = {
    "shots": ShotsConfig,
    "posterior": PosteriorConfig,
    "corrupt": CorruptConfig,
    "order": OrderConfig,
    "bound": BoundConfig,
    "ginc-make": GincMakeConfig,
    "ginc-bayes": GincBayesConfig,
    "ginc-eval": GincEvalConfig,
    "ginc-train": GincTrainConfig,
}
"""The room's verbs; ``ginc-make`` is typed ``ginc make``."""
