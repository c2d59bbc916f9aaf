"""What a user can ask about in-context learning: one configuration per verb."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias, cast, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from seqtant.errors import InputError
from seqtant.settings import Count, Numbers, Share, VerbConfig, config
from seqtant.sources import REFERENCE, InMemory, ModelSource, ObjectOrPath, Rows, is_path
from seqtant.training.config import TrainingConfig

if TYPE_CHECKING:
    from pathlib import Path

    from seqtant.icl.prompts.tasks import Task

LabelLaw = Literal["gold", "random", "permuted"]
NetworkName = Literal["gpt2", "llama", "lstm"]
Variant = Literal[
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
]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
"""Ways to corrupt the examples of a prompt, after Min et al. (arXiv 2202.12837)."""
Unit = Annotated[float, Field(ge=0, le=1)]
Several = Annotated[int, Field(ge=2)]
Natural = Annotated[int, Field(ge=0)]
Vocabulary = Annotated[int, Field(ge=2, le=4096)]
Seed32 = Annotated[int, Field(ge=0, lt=2**32)]
"""A seed of NumPy's legacy generator."""


WORLD = "world"
"""Name of the reference world's exact oracle where a model is asked for."""


def knows_games(model: ModelSource) -> bool:
    """Whether a model is the one that ships or its world's exact oracle, whose labeling games are known."""
    if is_path(model):
        return str(model) in (REFERENCE, WORLD)
    from seqtant.reference.oracle import WorldLM

    return isinstance(model, WorldLM) or getattr(model, "name", None) == REFERENCE


def _tasks(value: Any) -> Any:
    """One task, several, or a mapping from names to rows, as a list of paths, names and tasks."""
    several = cast("Sequence[Any]", value) if isinstance(value, list | tuple) else [value]
    if all(is_path(each) for each in several):
        return [str(each) for each in several]
    from seqtant.icl.prompts.tasks import Task, read_task

    if isinstance(value, Mapping):
        return [read_task(rows, name=str(name)) for name, rows in cast("Mapping[Any, Any]", value).items()]
    # A list of rows is one task, a list of such lists are several; a data frame or a data set is one.
    if not isinstance(value, list | tuple | Task) or all(_is_row(each) for each in several):
        return [read_task(cast("Rows", value))]
    return [
        str(each) if is_path(each) else each if isinstance(each, Task) else read_task(each, name=f"task_{number}")
        for number, each in enumerate(several, start=1)
    ]


def _is_row(value: Any) -> bool:
    """Whether it is one example: with an input, a dictionary, or an input and its label."""
    if not isinstance(value, list | tuple):
        return isinstance(value, Mapping) or hasattr(value, "input")
    parts = cast("Sequence[Any]", value)
    return len(parts) == 2 and isinstance(parts[0], str) and isinstance(parts[1], str | int | float)


def _describe_task(value: Any) -> str:
    if is_path(value):
        return str(value)
    content = hashlib.sha256(repr(value).encode()).hexdigest()[:8]
    return f"<task '{value.name}' of {len(value.examples)} examples in memory, sha256 {content}>"


if TYPE_CHECKING:
    Tasks: TypeAlias = str | Path | Task | Sequence[Any] | Mapping[str, Rows]
else:
    _Task = Annotated[Any, InMemory(), PlainSerializer(_describe_task)]
    Tasks = Annotated[tuple[_Task, ...], BeforeValidator(_tasks)]
    """Files, names, ``Task`` objects, lists of (input, label); or a mapping from names to such lists."""


def _ascending(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if not numbers or min(numbers) < 0 or list(numbers) != sorted(set(numbers)):
        raise InputError(f"{list(numbers)} are no shots: give different whole numbers from 0 on, in ascending order")
    return numbers


Shots = Annotated[Numbers, AfterValidator(_ascending)]
"""Different numbers of shots, ascending, or a text such as ``0,8``."""


@config
class BoundConfig(VerbConfig):
    """Compute how many shots the theory promises, as published and refined; pure mathematics, no model."""

    verb: ClassVar[str] = "icl.bound"
    c1: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Dependence across the delimiter: probabilities of examples multiply up to a factor between c1 and 1/c1."""
    c2: Share = 0.1
    """Smallest probability of a token in any task."""
    c3: Annotated[float, Field(gt=0, le=0.5)] = 0.5
    """Smallest prior probability of a task; at most 1/2, since two tasks cannot both be likelier."""
    length: Count = 20
    """Tokens per example: input, label and delimiter."""
    kl: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 35.156
    """Divergence of a whole example from the nearest rival task, in nats. Default: 20 bits, 0.9 against 0.1."""
    eps: Share = 0.05
    """Posterior odds left to the other tasks."""
    delta: Share = 0.05
    """Probability that the prompt is unlucky."""
    flipped: bool = False
    """Whether the prompt's labels may be wrong (refined forms; the published bound always allows it)."""
    shared_delimiter: bool = False
    """Whether every task gives the delimiter the same probability (refined forms)."""
    margin: Unit | None = None
    """Margin of the right label under its task; with it the theorems on margins are evaluated too."""


@config
class TaskSource(VerbConfig):
    """Which model, and which tasks it is shown."""

    model: ModelSource = field(default="reference", kw_only=False)
    """Model folder or hub name; ``reference`` is the model that ships, ``world`` the exact oracle of its world."""
    tasks: Tasks = field(default=(), kw_only=False)
    """JSON lines of a task, or its name (repeat for each task); by default the games of the reference world."""
    shots: Count = 16
    """Most examples in a prompt."""
    prompts: Several = 200
    """Prompts per task; each gives one query after every number of shots."""
    contexts: Count = 4
    """Many-shot contexts that stand for a task; their mean probability is taken."""
    context_shots: Count = 20
    """Examples in each of these contexts; no prompt shows them."""
    examples: Several = 200
    """Held-out examples per task from which divergences are measured."""
    tokens_per_batch: Count | None = None
    """Most tokens in one forward pass; None suits the device."""
    dtype: str | None = None
    """Number type to load the model in; float32 on a CPU and the checkpoint's own elsewhere."""


@config
class ShotsConfig(TaskSource):
    """Predict from single examples how many shots each task needs, and measure it in prompts."""

    verb: ClassVar[str] = "icl.shots"
    eps: Share = 0.05
    """Accuracy that may be missing to the many-shot plateau; also the posterior odds left to other tasks."""
    delta: Share = 0.05
    """Share of prompts that may identify the task later."""
    pairs: Several = 60
    """Pairs of examples per task from which the drift across delimiters is measured."""
    resamples: Several = 1000
    """Resamples of the bootstrap over prompts."""


@config
class PosteriorConfig(TaskSource):
    """Infer which task the model takes a prompt for, shot by shot; count prompts that are stuck on a wrong one."""

    verb: ClassVar[str] = "icl.posterior"
    prompt: Rows | None = field(default=None, kw_only=False)
    """JSON lines with ``input`` and ``label``: one prompt of yours, shot by shot; by default prompts of every task."""
    prompts: Several = 40
    """Prompts per task."""
    contexts: Count = 2
    """Many-shot contexts that stand for a task."""
    examples: Several = 100
    """Held-out examples per task from which evidence per shot is predicted."""
    probes: Count = 6
    """Inputs that are asked after every shot, to read the task off the model's answers."""
    stuck: Share = 0.5
    """A prompt whose true task has less posterior than this after the last shot is called stuck."""


@config
class CorruptConfig(TaskSource):
    """Corrupt the examples of prompts, their labels or inputs, and compare accuracy and evidence with the flip law."""

    verb: ClassVar[str] = "icl.corrupt"
    variants: tuple[Variant, ...] = VARIANTS
    """Ways to corrupt the examples."""
    prompts: Several = 40
    """Prompts per task and variant."""
    contexts: Count = 2
    """Many-shot contexts that stand for a task."""
    examples: Several = 100
    """Held-out examples per task from which the flip law is predicted."""
    abstract: tuple[str, ...] = ()
    """Words that stand for labels in the variant ``abstract``; by default those of the tasks, else A, B, C, ..."""

    def __post_init__(self) -> None:
        if len(set(self.variants)) < len(self.variants):
            raise InputError(f"variants are {list(self.variants)}: name each once")
        if "gold" not in self.variants:
            raise InputError("variants must include gold, which the others are compared with")


@config
class OrderConfig(TaskSource):
    """Measure how much the order of the examples matters, and what the vote of all orders gains."""

    verb: ClassVar[str] = "icl.order"
    shots: Several = 4
    """Examples in a prompt."""
    prompts: Several = 6
    """Sets of examples per task."""
    contexts: Count = 1
    """Many-shot contexts that are set aside; this study reads none."""
    examples: Several = 60
    """Held-out examples per task that queries are drawn from."""
    orders: Several = 24
    """Orders of each set: all of them where there are no more, else so many drawn."""
    queries: Several = 12
    """Queries asked of each order."""


@config
class GincSource(VerbConfig):
    """Where the parameters of GINC come from."""

    vocabulary: Vocabulary = 50
    """Number of symbols; 50, 100 and 150 are published."""
    identity: Unit = 0.9
    """Share of staying with the same entity; 0 is the published ablation."""
    own_entities: bool = False
    """Whether every concept has entity transitions of its own."""
    parameter_seed: Seed32 = 1111
    """Seed of the parameters; 1111 is the published one."""
    parameters: ObjectOrPath | None = None
    """Folder with parameters that ``ginc make`` wrote, or a ``Ginc``, instead of drawing them."""


@config
class GincMakeConfig(GincSource):
    """Sample the data set GINC: parameters, documents, prompts; --out writes them."""

    verb: ClassVar[str] = "icl.ginc-make"
    documents: Count = 1000
    """Training documents."""
    document_length: Several = 10240
    """Symbols of each."""
    validation: Count = 100
    """Validation documents."""
    validation_length: Several = 1024
    """Symbols of each."""
    prompts: Count = 2500
    """Prompts per length of an example."""
    example_lengths: tuple[Several, ...] = (3, 5, 8, 10)
    """Symbols of an example, label included."""
    shots: Natural = 64
    """Most shots of a prompt; it holds every smaller number."""


@config
class GincPrompts(GincSource):
    """Which prompts of GINC are asked."""

    example_length: Several = 3
    """Symbols of an example, label included (the paper's k)."""
    shots: Shots = (0, 1, 2, 4, 8, 16, 32, 64)
    """Numbers of shots with commas, e.g. 0,8 (the paper's n)."""
    labels: LabelLaw = "gold"
    """Labels that prompts show: gold, random symbols, or the prompt's own in random order."""
    outside: bool = False
    """Whether prompts follow patterns that no concept in distribution writes."""
    prompts: Several = 1000
    """Number of prompts; each is asked after every number of shots."""
    smoothing: Share = 0.01
    """Share of uniform transitions in the exact filter: prompts jump where no concept does."""
    documents: Several = 100
    """Documents for the cross-entropy."""
    document_length: Several = 1024
    """Symbols of each."""


@config
class GincBayesConfig(GincPrompts):
    """Ask the exact Bayes predictor prompts of GINC: accuracy and posterior by number of shots."""

    verb: ClassVar[str] = "icl.ginc-bayes"


@config
class GincEvalConfig(GincPrompts):
    """Ask a trained model prompts of GINC, beside exact Bayes on the same prompts."""

    verb: ClassVar[str] = "icl.ginc-eval"
    model: ModelSource | None = field(default=None, kw_only=False)
    """Folder that ``ginc train`` wrote, or a Hugging Face model over GINC's ids; none: a tiny one is trained."""
    example_length: Several = 10
    """Symbols of an example, label included."""
    prompts: Several = 300
    """Number of prompts; each is asked after every number of shots."""


@config
class GincNetwork:
    """Shape of the network that learns GINC."""

    name: NetworkName = "llama"
    """gpt2 (published), llama (rotary positions, learns with fewer tokens) or lstm."""
    layers: Count = 3
    """Number of layers."""
    width: Count = 96
    """Width."""
    heads: Count = 4
    """Attention heads; must divide the width."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout."""

    def __post_init__(self) -> None:
        if self.name != "lstm" and self.width % self.heads:
            raise InputError(f"network.heads is {self.heads}: it must divide the width {self.width}")


@config
class GincTrainConfig(GincSource):
    """Train a network on documents of GINC and ask it prompts; --out keeps it, and the command resumes."""

    verb: ClassVar[str] = "icl.ginc-train"
    network: GincNetwork = field(default_factory=GincNetwork)
    """The network; --set network.name=lstm and so on."""
    context: Several = 256
    """Symbols of a training row."""
    rows: Count = 16
    """Rows of a batch."""
    documents: Natural = 0
    """Training documents of 10240 symbols, read again and again as published; 0 draws new ones for every step."""
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            steps=2000, learning_rate=3e-3, warmup=100, final_fraction=0.02, checkpoint_every=500
        )
    )
    """Course of the training."""
    example_lengths: tuple[Several, ...] = (3, 5, 10)
    """Symbols of an example in the prompts asked afterwards."""
    shots: Shots = (0, 1, 2, 4, 8, 16)
    """Numbers of shots."""
    prompts: Several = 300
    """Prompts per length of an example."""
    validation: Several = 100
    """Fresh documents on which the loss is measured."""

    def __post_init__(self) -> None:
        longest = max(self.example_lengths, default=2)
        if (max(self.shots) + 1) * (longest + 1) > self.context:
            raise InputError(
                f"{max(self.shots)} shots of {longest} symbols do not fit a context of {self.context}: ask fewer shots"
            )
