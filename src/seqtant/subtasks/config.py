"""What can be asked of this package: one frozen configuration per verb."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias, cast

from pydantic import BeforeValidator, Field, PlainSerializer

from seqtant.errors import InputError
from seqtant.settings import Count, Numbers, Positive, VerbConfig, config
from seqtant.sources import InMemory, ModelSource, ObjectOrPath, Rows, describe, is_path

if TYPE_CHECKING:
    from pathlib import Path

    from seqtant.subtasks.tasks.task import Task

ArmName = Literal["steps", "answer", "pause", "shuffled", "noisy", "partial"]
"""What is written after the input: all steps; the answer alone; the answer after as many pauses as there are steps;
the steps in a wrong order; steps of which some are wrong; the higher steps only."""

RowArmName = Literal["steps", "answer", "pause", "shuffled", "noisy"]
"""The arms of rows: their steps have no levels, so none can be dropped by level."""

Decoding = Literal["free", "teacher", "sample"]
Kind = Literal["elman", "lstm", "decoder", "masked"]
TwoOrMore = Annotated[int, Field(ge=2)]
ZeroToOne = Annotated[float, Field(ge=0, le=1)]

_one_text = BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value)
_MOST_NUMBERS = 2**28


def _demand_memory(items: int, **fields: int | None) -> None:
    """Refuses more inputs of so many items than can be held at a time."""
    most = _MOST_NUMBERS // items
    for name, value in fields.items():
        if value is not None and value > most:
            raise InputError(f"{name} is {value}: of {items} items each at most {most} fit, give fewer")


def describe_input(source: Any) -> Any:
    """Writes a task or rows as text for records: paths as they are, a task by name and hash, rows by count and hash.

    Example:
        >>> describe_input("rows.jsonl"), describe_input({"train": [("1+2", ["1+2=3"], 3)]})
        ('rows.jsonl', '<1 rows in memory, sha256 1d949a3d>')
    """
    if _is_task(source):
        return f"<{source.name} in memory, {source.fingerprint}>"
    if isinstance(source, Mapping):
        splits = cast("Mapping[str, Any]", source).items()
        return describe([(split, row) for split, rows in splits for row in ([rows] if is_path(rows) else rows)])
    return describe(source)


def _is_task(value: Any) -> bool:
    # By its parts: importing the class would load NumPy for every command.
    return all(hasattr(value, name) for name in ("steps", "labels", "fingerprint"))


def _rows(value: Any, kind: str = "neither a file nor a list of rows") -> Any:
    if is_path(value):
        return str(value)
    if isinstance(value, Mapping):
        return {split: _rows(rows) for split, rows in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, bytes) or not hasattr(value, "__iter__"):
        raise InputError(f"{value!r:.60} is {kind}")
    # What can be gone through only once is kept, since several runs may read it.
    return list(cast("Iterator[Any]", value)) if isinstance(value, Iterator) else value


if TYPE_CHECKING:
    RowSource: TypeAlias = str | Path | Sequence[Any] | Mapping[str, Sequence[Any]]
    TaskSource: TypeAlias = Task | RowSource
else:
    RowSource = Annotated[Any, InMemory(), BeforeValidator(_rows), PlainSerializer(describe_input)]
    """A file, a folder, ``arithmetic``; or rows, alone or as a mapping of ``train``, ``validation`` and ``test``."""
    _task_or_rows = BeforeValidator(
        lambda value: (
            value if _is_task(value) else _rows(value, "no task: give a name, a file, a Task or a list of rows")
        )
    )
    TaskSource = Annotated[Any, InMemory(), _task_or_rows, PlainSerializer(describe_input)]
    """A task by name, its file or a :class:`Task`; or rows as in ``RowSource``."""


@config
class TaskChoice(VerbConfig):
    """Which compound task."""

    task: TaskSource = field(default="parity", kw_only=False)
    """parity, sum, addition, a circuit.json, a name that a plug-in adds, or rows: a .jsonl file, a folder of them, or
    arithmetic (built in)."""
    bits: Annotated[int, Field(ge=1, le=4096)] = 16
    """Bits of a parity, a multiple of 4."""
    subset: Numbers | None = None
    """Hidden subset of a parity in pairing order; by default half of the bits, drawn from the seed."""
    order: Literal["tree", "chain"] = "tree"
    """Steps of a parity: the published tree, or running parities."""
    terms: Annotated[int, Field(ge=2, le=4096)] = 6
    """Numbers in a sum."""
    modulus: Annotated[int, Field(ge=2, le=1000)] = 10
    """What a sum is taken modulo."""
    digits: Annotated[int, Field(ge=1, le=512)] = 3
    """Digits of the numbers to add."""

    @property
    def _most_items(self) -> int:
        """Most items that an input of a named task has."""
        return max(self.bits, self.terms, 2 * self.digits)


@config
class NetworkConfig:
    """A network of our own."""

    kind: Kind = "elman"
    """elman (with ReLU), lstm, decoder (a transformer with learned positions), or masked: a masked feed-forward network
    whose positions each have weights of their own."""
    width: Count = 256
    """Width of the network: size of the hidden state or of the residual stream."""
    depth: Count = 2
    """Layers of a decoder or a masked network."""
    heads: Count = 4
    """Attention heads of a decoder; must divide the width."""
    embedding_scale: Positive | None = None
    """Standard deviation of a decoder's fresh token and position vectors, by default 0.02; with 1 attention can tell
    positions apart from the start."""
    trained: Literal["recurrent", "all"] | None = None
    """What is trained: the hidden-to-hidden matrix only (by default for an Elman network, as the theorem assumes)
    or everything."""

    def __post_init__(self) -> None:
        if self.kind == "decoder" and self.width % self.heads:
            raise InputError(f"heads is {self.heads}: it must divide the width {self.width}")
        if self.positional and self.trained == "recurrent":
            raise InputError(f"trained is 'recurrent', but a {self.kind} network has no recurrent matrix: use 'all'")

    @property
    def positional(self) -> bool:
        """Whether it has weights for every position, and so reads only as many tokens as it was made for."""
        return self.kind in ("decoder", "masked")


@config
class OptimizationConfig:
    """How weights are learned; what is None depends on the network."""

    optimizer: Literal["sgd", "adamw"] | None = None
    """Plain gradient descent (default where only the recurrent matrix is trained) or AdamW."""
    learning_rate: Positive | None = None
    """Peak learning rate; by default 0.1 for gradient descent, 0.002 for AdamW."""
    batch: Count = 64
    """Rows per update."""
    accumulation: Count = 1
    """Passes over which the rows of an update are shared, where they do not fit into memory at once."""
    warmup: Annotated[int, Field(ge=0)] | None = None
    """Updates over which the learning rate rises; by default 100 for AdamW and none for gradient descent."""
    clip: Positive = 1.0
    """Largest norm of the gradient."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision."""
    compile: bool = False
    """Whether the network is compiled."""


@config
class ArmSettings:
    """What the control arms are made with."""

    noise: ZeroToOne = 0.1
    """Share of wrong values among the steps of the arm ``noisy``."""
    level: Count = 2
    """Lowest level of the steps that the arm ``partial`` keeps."""


@config
class MakeConfig(TaskChoice):
    """Make rows of a task with all their steps; with --out: train.jsonl, validation.jsonl, test.jsonl, manifest.json.

    The rows are split by a hash of the input, so that no two splits share one.
    """

    verb: ClassVar[str] = "subtasks.make"
    rows: Count = 1000
    """Rows to train on."""
    test_rows: Count | None = None
    """Rows to validate and rows to test on; by default a quarter of the training rows each."""

    def __post_init__(self) -> None:
        _demand_memory(self._most_items, rows=self.rows, test_rows=self.test_rows)


@config
class CheckConfig(VerbConfig):
    """Check the steps of rows: recomputable, in order, few reads, no leaks, no shared inputs, whole tokens.

    Exit code 1 if anything is wrong.
    """

    verb: ClassVar[str] = "subtasks.check"
    rows: RowSource = field(default="arithmetic", kw_only=False)
    """A .jsonl file, a folder with train.jsonl (and validation.jsonl, test.jsonl), or arithmetic (built in)."""
    max_arity: Count = 4
    """Most earlier items that one step may read."""
    tokenizer: ObjectOrPath | None = None
    """Model folder whose tokenizer must not glue two steps together; None leaves that out."""
    examples: Count = 5
    """Violations of each kind that are shown."""


@config
class AugmentConfig(VerbConfig):
    """Turn rows into training data with loss masks, spans and control arms of equal compute; files go to --out."""

    verb: ClassVar[str] = "subtasks.augment"
    rows: RowSource = field(default="arithmetic", kw_only=False)
    """A .jsonl file, a folder with train.jsonl, or arithmetic (built in)."""
    arms: Annotated[tuple[RowArmName, ...], _one_text] = ("steps", "answer", "pause", "shuffled", "noisy")
    """Arms to write, a folder each: steps, answer, pause, shuffled or noisy (may be repeated); by default all."""
    form: Literal["causal", "seq2seq"] = "causal"
    """causal (prompt, completion) or seq2seq (source, target)."""
    tokenizer: ObjectOrPath | None = None
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


@config
class Learning(TaskChoice):
    """What training one network and comparing several have in common."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The network."""
    optimization: OptimizationConfig = field(default_factory=OptimizationConfig)
    """How it is trained."""
    settings: ArmSettings = field(default_factory=ArmSettings)
    """What control arms are made with."""
    updates: Count = 2000
    """Updates of the weights, for every run the same."""
    evaluate_every: Count = 100
    """Updates between two looks at the validation rows."""
    test_rows: TwoOrMore = 1024
    """Fresh inputs that a trained network is tested on; with rows, at most so many of the test split."""

    def __post_init__(self) -> None:
        _demand_memory(self._most_items, test_rows=self.test_rows)


@config
class TrainConfig(Learning):
    """Train a network on one way to write solutions; with --out it is kept, and an interrupted run goes on."""

    verb: ClassVar[str] = "subtasks.train"
    arm: ArmName = "steps"
    """What is written after the input: steps, answer, pause, shuffled, noisy or partial."""
    base: ModelSource | None = None
    """Language model to adapt to rows with LoRA, instead of a network of our own."""
    lora_rank: Count = 8
    """Rank of the LoRA matrices."""


@config
class EvalConfig(VerbConfig):
    """Evaluate a model on its own steps: per step, first errors, end to end, against what true steps predict."""

    verb: ClassVar[str] = "subtasks.eval"
    model: ModelSource = field(default="reference", kw_only=False)
    """Folder of 'train', a language model, or reference on its own sums."""
    rows: RowSource | None = field(default=None, kw_only=False)
    """Rows to solve, for models that learned from rows: .jsonl, a folder with test.jsonl, or arithmetic (built in)."""
    decode: Decoding = "free"
    """free (greedy on its own steps), sample (drawn), or teacher (given the true steps)."""
    test_rows: TwoOrMore = 512
    """Problems; for the reference model, of each number of steps."""


@config
class ProbeConfig(TaskChoice):
    """Measure the gradient signal of each step and of the whole task: learnable in about N updates, or not."""

    verb: ClassVar[str] = "subtasks.probe"
    network: NetworkConfig = field(default_factory=lambda: NetworkConfig(width=64))
    """The fresh network whose gradients are looked at."""
    candidates: Annotated[int, Field(ge=3)] = 24
    """Other targets of the same kind that each step is told from."""
    samples: Annotated[int, Field(ge=64)] = 4096
    """Inputs behind each gradient; all there are if so many suffice."""
    batch: Count = 64
    """Rows per update, for the number of updates."""
    budget: Annotated[float, Field(gt=0)] = 1e6
    """Most updates that anybody would pay for."""


@config
class CompareConfig(Learning):
    """Train the same network with and without steps, seed by seed: accuracy and updates to 90 %."""

    verb: ClassVar[str] = "subtasks.compare"
    arms: Annotated[tuple[ArmName, ...], _one_text] = ("steps", "answer")
    """What is compared: steps, answer, pause, shuffled, noisy or partial (may be repeated); steps and answer give the
    headline numbers."""
    seeds: Count = 3
    """Runs per arm; each has its own subset, network and data."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.arms or len(set(self.arms)) < len(self.arms):
            raise InputError(f"arms are {list(self.arms)}: name each arm once")


@config
class OneStepConfig(VerbConfig):
    """Learn every step of a parity with one gradient step of a one-layer network, in closed form."""

    verb: ClassVar[str] = "subtasks.one-step"
    bits: TwoOrMore = 64
    """Number of bits d."""
    subset_size: TwoOrMore = 32
    """Bits whose parity is wanted: a power of two, at most the bits."""
    samples: TwoOrMore = 16_384
    """Training inputs behind the one gradient."""
    scale: Positive = 1.0
    """Size of the step, in units of the square of the number of earlier tokens."""
    test_rows: TwoOrMore = 2000
    """Fresh inputs that are solved on the network's own steps."""

    def __post_init__(self) -> None:
        if self.subset_size > self.bits or self.subset_size & (self.subset_size - 1):
            raise InputError(f"subset_size is {self.subset_size}: give a power of two of at most {self.bits} bits")
        _demand_memory(self.bits, samples=self.samples, test_rows=self.test_rows)


@config
class SolveGf2Config(VerbConfig):
    """Recover the hidden subset of a parity by Gaussian elimination modulo two.

    What gradients cannot do, algebra does.
    """

    verb: ClassVar[str] = "subtasks.solve-gf2"
    bits: Annotated[int, Field(ge=1, le=8192)] = 512
    """Number of bits."""
    samples: Count | None = None
    """Random inputs with their parities; by default bits + 10."""
    rows: Rows | None = field(default=None, kw_only=False)
    """Rows to solve instead: a .jsonl file whose inputs are bits and whose answer is one bit."""
    noise: ZeroToOne = 0.0
    """Share of wrong answers among the samples: one is enough to defeat elimination."""

    def __post_init__(self) -> None:
        _demand_memory(self.bits, samples=self.samples)
