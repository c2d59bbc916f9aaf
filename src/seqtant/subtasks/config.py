"""What a user can ask of this room: one frozen configuration per verb."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from seqtant.errors import InputError
from seqtant.ranges import at_least, at_most, between, positive

ArmName = Literal["steps", "answer", "pause", "shuffled", "noisy", "partial"]
"""What is written after the input: all steps; the answer alone; the answer after as many pauses as there are steps;
the steps in a wrong order; steps of which some are wrong; the higher steps only."""

RowArmName = Literal["steps", "answer", "pause", "shuffled", "noisy"]
"""The arms of rows: their steps have no levels, so none can be dropped by level."""

Decoding = Literal["free", "teacher", "sample"]
Kind = Literal["elman", "lstm", "decoder", "masked"]


_MOST_NUMBERS = 2**28


def _demand_memory(items: int, **fields: int | None) -> None:
    """Refuses more inputs of so many items than can be held at a time."""
    most = _MOST_NUMBERS // items
    for name, value in fields.items():
        if value is not None and value > most:
            raise InputError(f"{name} is {value}: of {items} items each at most {most} fit, give fewer")


@dataclass(frozen=True, kw_only=True)
class TaskChoice:
    """Which compound task."""

    task: str = "parity"
    """parity, sum, addition, a circuit.json, or rows: a .jsonl file, a folder of them, or ``arithmetic``."""
    bits: int = 16
    """Bits of a parity: a multiple of 4."""
    subset: tuple[int, ...] | None = None
    """Hidden subset of a parity in pairing order; by default half of the bits, drawn from the seed."""
    order: Literal["tree", "chain"] = "tree"
    """Steps of a parity: the published tree, or running parities."""
    terms: int = 6
    """Numbers in a sum."""
    modulus: int = 10
    """What a sum is taken modulo."""
    digits: int = 3
    """Digits of the numbers to add."""

    def __post_init__(self) -> None:
        at_least(1, bits=self.bits, digits=self.digits)
        at_least(2, terms=self.terms, modulus=self.modulus)
        if self.bits > 4096 or self.modulus > 1000 or self.terms > 4096 or self.digits > 512:
            raise InputError("the task is too large: bits and terms reach 4096, modulus 1000, digits 512")

    @property
    def _most_items(self) -> int:
        """Most items that an input of a named task has."""
        return max(self.bits, self.terms, 2 * self.digits)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """A network of our own."""

    kind: Kind = "elman"
    """Elman network with ReLU, LSTM, decoder transformer with learned positions, or masked feed-forward network whose
    positions each have weights of their own."""
    width: int = 256
    """Size of the hidden state or of the residual stream."""
    depth: int = 2
    """Layers of a decoder or a masked network."""
    heads: int = 4
    """Attention heads of a decoder; must divide the width."""
    embedding_scale: float | None = None
    """Standard deviation of a decoder's fresh token and position vectors, by default 0.02; with 1 attention can tell
    positions apart from the start."""
    trained: Literal["recurrent", "all"] | None = None
    """What is trained: the hidden-to-hidden matrix only (by default for an Elman network, as the theorem assumes)
    or everything."""

    def __post_init__(self) -> None:
        at_least(1, width=self.width, depth=self.depth, heads=self.heads)
        positive(embedding_scale=self.embedding_scale)
        if self.kind == "decoder" and self.width % self.heads:
            raise InputError(f"heads is {self.heads}: it must divide the width {self.width}")
        if self.positional and self.trained == "recurrent":
            raise InputError(f"trained is 'recurrent', but a {self.kind} network has no recurrent matrix: use 'all'")

    @property
    def positional(self) -> bool:
        """Whether it has weights for every position, and so reads only as many tokens as it was made for."""
        return self.kind in ("decoder", "masked")


@dataclass(frozen=True, kw_only=True)
class OptimizationConfig:
    """How weights are learned; what is None depends on the network."""

    optimizer: Literal["sgd", "adamw"] | None = None
    """Plain gradient descent (default where only the recurrent matrix is trained) or AdamW."""
    learning_rate: float | None = None
    """Peak learning rate; by default 0.1 for gradient descent, 0.002 for AdamW."""
    batch: int = 64
    """Rows per update."""
    accumulation: int = 1
    """Passes over which the rows of an update are shared, where they do not fit into memory at once."""
    warmup: int | None = None
    """Updates over which the learning rate rises; by default 100 for AdamW and none for gradient descent."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision."""
    compile: bool = False
    """Whether the network is compiled."""

    def __post_init__(self) -> None:
        at_least(1, batch=self.batch, accumulation=self.accumulation)
        positive(learning_rate=self.learning_rate, clip=self.clip)


@dataclass(frozen=True, kw_only=True)
class ArmSettings:
    """What the control arms are made with."""

    noise: float = 0.1
    """Share of wrong values among the steps of the arm ``noisy``."""
    level: int = 2
    """Lowest level of the steps that the arm ``partial`` keeps."""

    def __post_init__(self) -> None:
        between(0, 1, noise=self.noise)
        at_least(1, level=self.level)


_TINY = NetworkConfig(width=32)


@dataclass(frozen=True, kw_only=True)
class MakeConfig(TaskChoice):
    """Rows of a task, split by input so that no split shares one."""

    rows: int = 1000
    """Rows to train on."""
    test_rows: int | None = None
    """Rows to validate and rows to test on; by default a quarter of the training rows each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, rows=self.rows, test_rows=self.test_rows)
        _demand_memory(self._most_items, rows=self.rows, test_rows=self.test_rows)

    @classmethod
    def smoke(cls) -> MakeConfig:
        """Some rows of an 8-bit parity."""
        return cls(bits=8, rows=32)


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """Whether the steps of rows are sound."""

    rows: str = "arithmetic"
    """A .jsonl file, a folder with train.jsonl (and validation.jsonl, test.jsonl), or ``arithmetic``: built-in rows."""
    max_arity: int = 4
    """Most earlier items that one step may read."""
    tokenizer: str | None = None
    """Model folder whose tokenizer must not glue two steps together; None leaves that out."""
    examples: int = 5
    """Violations of each kind that are shown."""

    def __post_init__(self) -> None:
        at_least(1, max_arity=self.max_arity, examples=self.examples)


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Rows turned into training data, with control arms of equal compute."""

    rows: str = "arithmetic"
    """A .jsonl file, a folder of them, or ``arithmetic``."""
    arms: tuple[RowArmName, ...] = ("steps", "answer", "pause", "shuffled", "noisy")
    """Arms to write, a folder each."""
    form: Literal["causal", "seq2seq"] = "causal"
    """``causal`` writes prompt and completion, ``seq2seq`` source and target."""
    tokenizer: str | None = None
    """Model folder; with it rows also hold input_ids, labels (-100 on the prompt) and completion_mask."""
    pause: str = "."
    """Text of a pause; repeated to the length of the steps."""
    settings: ArmSettings = field(default_factory=ArmSettings)
    """Noise of the control arms."""

    def __post_init__(self) -> None:
        if not self.arms:
            raise InputError("arms: give at least one of steps, answer, pause, shuffled, noisy")
        if not self.pause or "\n" in self.pause:
            raise InputError(f"pause is {self.pause!r}: give a short text without line breaks")


@dataclass(frozen=True, kw_only=True)
class Learning(TaskChoice):
    """What training one network and comparing several have in common."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The network."""
    optimization: OptimizationConfig = field(default_factory=OptimizationConfig)
    """How it is trained."""
    settings: ArmSettings = field(default_factory=ArmSettings)
    """What control arms are made with."""
    updates: int = 2000
    """Updates of the weights, for every run the same."""
    evaluate_every: int = 100
    """Updates between two looks at the validation rows."""
    test_rows: int = 1024
    """Fresh inputs that a trained network is tested on; with rows, at most so many of the test split."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, updates=self.updates, evaluate_every=self.evaluate_every)
        at_least(2, test_rows=self.test_rows)
        _demand_memory(self._most_items, test_rows=self.test_rows)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Learning):
    """One network, trained on one arm."""

    arm: ArmName = "steps"
    """What is written after the input."""
    base: str | None = None
    """Language model to adapt with LoRA instead of a network of our own; rows only."""
    lora_rank: int = 8
    """Rank of the LoRA matrices."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, lora_rank=self.lora_rank)

    @classmethod
    def smoke(cls) -> TrainConfig:
        """A few updates on 8 bits."""
        return cls(bits=8, network=_TINY, updates=20, evaluate_every=10, test_rows=20)

    @classmethod
    def gpu(cls) -> TrainConfig:
        """The published network on 64 bits."""
        return cls(bits=64, network=_PUBLISHED, optimization=_ON_GPU, updates=20_000, evaluate_every=500)


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """A trained network or a language model on its own steps."""

    model: str = "reference"
    """Folder of ``subtasks train``, a language model, or ``reference`` on its own sums."""
    rows: str | None = None
    """Rows to solve: .jsonl, a folder with test.jsonl, or ``arithmetic``; by default what the model was trained on."""
    decode: Decoding = "free"
    """``free``: greedy on its own steps; ``sample``: drawn; ``teacher``: given the true steps."""
    test_rows: int = 512
    """Problems (for ``reference``: of each number of steps)."""

    def __post_init__(self) -> None:
        at_least(2, test_rows=self.test_rows)

    @classmethod
    def smoke(cls) -> EvalConfig:
        """The reference model on a few sums."""
        return cls(test_rows=8)


@dataclass(frozen=True, kw_only=True)
class ProbeConfig(TaskChoice):
    """How much gradient each step leaves, against the whole task."""

    network: NetworkConfig = field(default_factory=lambda: NetworkConfig(width=64))
    """The fresh network whose gradients are looked at."""
    candidates: int = 24
    """Other targets of the same kind that each step is told from."""
    samples: int = 4096
    """Inputs behind each gradient."""
    batch: int = 64
    """Rows per update, for the number of updates."""
    budget: float = 1e6
    """Most updates that anybody would pay for."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(3, candidates=self.candidates)
        at_least(64, samples=self.samples)
        at_least(1, batch=self.batch)

    @classmethod
    def smoke(cls) -> ProbeConfig:
        """Eight bits, a small network."""
        return cls(bits=8, network=NetworkConfig(width=16), candidates=6, samples=512)


@dataclass(frozen=True, kw_only=True)
class CompareConfig(Learning):
    """The same network and seeds with and without steps."""

    arms: tuple[ArmName, ...] = ("steps", "answer")
    """What is compared; ``steps`` and ``answer`` give the headline numbers."""
    seeds: int = 3
    """Runs per arm; each has its own subset, network and data."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, seeds=self.seeds)
        if not self.arms or len(set(self.arms)) < len(self.arms):
            raise InputError(f"arms are {list(self.arms)}: name each arm once")

    @classmethod
    def smoke(cls) -> CompareConfig:
        """A few updates on 8 bits."""
        return cls(bits=8, network=_TINY, seeds=2, updates=20, evaluate_every=10, test_rows=20)

    @classmethod
    def gpu(cls) -> CompareConfig:
        """The published network on 64 bits."""
        return cls(
            bits=64,
            arms=("steps", "pause"),
            network=_PUBLISHED,
            optimization=_ON_GPU,
            updates=20_000,
            evaluate_every=500,
        )


@dataclass(frozen=True, kw_only=True)
class OneStepConfig:
    """A one-layer network whose steps are all learned by one gradient step."""

    bits: int = 64
    """Number of bits d."""
    subset_size: int = 32
    """Bits whose parity is wanted: a power of two, at most the bits."""
    samples: int = 16_384
    """Training inputs behind the one gradient."""
    scale: float = 1.0
    """Size of the step, in units of the square of the number of earlier tokens."""
    test_rows: int = 2000
    """Fresh inputs that are solved on the network's own steps."""

    def __post_init__(self) -> None:
        at_least(2, bits=self.bits, subset_size=self.subset_size, samples=self.samples, test_rows=self.test_rows)
        if self.subset_size > self.bits or self.subset_size & (self.subset_size - 1):
            raise InputError(f"subset_size is {self.subset_size}: give a power of two of at most {self.bits} bits")
        _demand_memory(self.bits, samples=self.samples, test_rows=self.test_rows)
        positive(scale=self.scale)

    @classmethod
    def smoke(cls) -> OneStepConfig:
        """Sixteen bits."""
        return cls(bits=16, subset_size=8, samples=4096, test_rows=500)


@dataclass(frozen=True, kw_only=True)
class SolveGf2Config:
    """The hidden subset by Gaussian elimination: what gradients cannot do, algebra does."""

    bits: int = 512
    """Number of bits."""
    samples: int | None = None
    """Random inputs with their parities; by default bits + 10."""
    rows: str | None = None
    """Rows to solve instead: a .jsonl file whose inputs are bits and whose answer is one bit."""
    noise: float = 0.0
    """Share of wrong answers among the samples: one is enough to defeat elimination."""

    def __post_init__(self) -> None:
        at_least(1, bits=self.bits, samples=self.samples)
        between(0, 1, noise=self.noise)
        at_most(8192, bits=self.bits)
        _demand_memory(self.bits, samples=self.samples)

    @classmethod
    def smoke(cls) -> SolveGf2Config:
        """Sixty-four bits."""
        return cls(bits=64)


_PUBLISHED = NetworkConfig(kind="decoder", width=768, depth=12, heads=12)
_ON_GPU = OptimizationConfig(learning_rate=1e-4, batch=512, warmup=1000, precision="bf16", compile=True)

CONFIGS = {
    "make": MakeConfig,
    "check": CheckConfig,
    "augment": AugmentConfig,
    "train": TrainConfig,
    "eval": EvalConfig,
    "probe": ProbeConfig,
    "compare": CompareConfig,
    "one-step": OneStepConfig,
    "solve-gf2": SolveGf2Config,
}
