"""What a user can ask of the steering room: one frozen configuration per verb."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from seqtant.errors import InputError
from seqtant.ranges import at_least
from seqtant.settings import Listed
from seqtant.training.config import TrainingConfig

Method = Literal["mean", "pca", "repe", "probe", "random", "centered-pca"]
Positions = Literal["all", "prompt", "last", "generated"]
AnswerScore = Literal["restricted", "full"]
BudgetKind = Literal["relative", "absolute", "above-chance"]
ExportFormat = Literal["gguf", "folder"]


def _finite(**fields: float | None) -> None:
    for name, value in fields.items():
        if value is not None and not math.isfinite(value):
            raise InputError(f"{name} is {value}: give a finite number")


def read_strengths(value: Any) -> Any:
    """Reads strengths written as ``first:last:step``, both ends in, or as numbers with commas.

    Raises:
        InputError: The text cannot be read.

    Example:
        >>> read_strengths("-1:1:0.5"), read_strengths("0,2")
        ((-1.0, -0.5, 0.0, 0.5, 1.0), (0.0, 2.0))
    """
    if not isinstance(value, str):
        return value
    try:
        if ":" not in value:
            return tuple(float(part) for part in value.split(","))
        first, last, step = (float(part) for part in value.split(":"))
        count = round((last - first) / step)
        if count < 1 or count > 10_000:
            raise ValueError(f"{count} steps")
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"strengths '{value}' cannot be read: write first:last:step or numbers with commas") from error
    return tuple(round(first + step * number, 12) for number in range(count + 1))


@dataclass(frozen=True, kw_only=True)
class VectorSource:
    """Which model, and where its steering vector comes from."""

    model: str = "reference"
    """Hugging Face folder, hub name, or ``reference`` for the model that ships."""
    vector: str | None = None
    """Steering vector (.safetensors, or .gguf); None extracts one from ``pairs``."""
    pairs: str | None = None
    """Contrast pairs, JSON lines with ``positive`` and ``negative`` and, if both answer one prompt, ``prompt``. Without
    it the reference model takes talks of its cheerful and its gloomy persona."""
    layers: str | None = None
    """Blocks to steer: ``2,3``, ``4:8`` or fractions of the depth ``0.3:0.6``; by default all a vector file holds, else
    from a fifth to two fifths of the depth, the part that the paper steers (blocks 8 to 15 of 40)."""
    method: Method = "mean"
    """How a direction is drawn from the pairs: mean difference, uncentered PCA of the differences, PCA of shuffled and
    centered differences (repe), logistic probe, or a random control."""
    template: str = "{text}"
    """What each text of a pair is put into: a text with ``{text}``, or ``chat`` for the tokenizer's chat template."""
    max_pairs: int = 128
    """Most contrast pairs that are read."""
    dtype: str | None = None
    """Number type to load the model in; float32 on a CPU and the checkpoint's own elsewhere."""
    allow_other_model: bool = False
    """Whether a vector made from other weights or another tokenizer may be used; its size must fit all the same."""

    def __post_init__(self) -> None:
        at_least(2, max_pairs=self.max_pairs)
        if self.method == "centered-pca":
            raise InputError(
                "method is centered-pca: centering the differences of ordered pairs subtracts their mean, which is the "
                "signal itself; use mean, pca (not centered) or repe (order shuffled, then centered)"
            )
        if self.template != "chat" and "{text}" not in self.template:
            raise InputError(f"template {self.template!r} has no place for {{text}}: write e.g. 'Question: {{text}}'")


@dataclass(frozen=True, kw_only=True)
class Measured(VectorSource):
    """What is measured on both sides of the trade-off."""

    behavior: str | None = None
    """Behavior prompts, JSON lines with ``prompt``, ``good`` and ``bad`` (lists of continuations). Without it the
    reference model is asked how it is: bright replies are good, dark ones bad."""
    helpfulness: str | None = None
    """What must not suffer, JSON lines: ``prompt``, ``options`` and ``answer`` (multiple choice, cloze), or ``text``
    (helpfulness is then one over the perplexity); or ``lm-eval:TASK``, a multiple-choice task of lm-evaluation-harness.
    Without it the reference model is asked facts."""
    score: AnswerScore = "restricted"
    """Probability of the right answer among the options (restricted), or among all tokens (full)."""
    positions: Positions = "all"
    """Which tokens are steered; positions count from the start of the text, also under a cache."""
    prompts: int = 64
    """Most behavior prompts."""
    items: int = 400
    """Most helpfulness items."""
    tokens_per_batch: int = 4096
    """Most tokens in one forward pass."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(2, prompts=self.prompts, items=self.items)
        at_least(1, tokens_per_batch=self.tokens_per_batch)


@dataclass(frozen=True, kw_only=True)
class ExtractConfig(VectorSource):
    """Extract a steering vector from contrast pairs."""

    layers: str | None = "0:1.0"
    """Blocks to extract a direction for: ``2,3``, ``4:8`` or fractions of the depth; by default all."""
    folds: int = 5
    """Parts into which pairs are split: each part is told apart by a vector made from the others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(2, folds=self.folds)

    @classmethod
    def smoke(cls) -> ExtractConfig:
        """A few pairs of the reference model."""
        return cls(max_pairs=16)


@dataclass(frozen=True, kw_only=True)
class SweepConfig(Measured):
    """Measure alignment and helpfulness over a range of strengths."""

    strengths: Annotated[tuple[float, ...] | None, Listed(), BeforeValidator(read_strengths)] = None
    """Strengths in units of the unit vectors, 0 among them; None finds the range in which helpfulness stays usable."""
    points: int = 21
    """Number of strengths, if the range is found."""
    loss: float = 0.2
    """Relative loss of helpfulness at which the range ends, if it is found."""
    scorer: str | None = None
    """Registered scorer of generated replies (+1, 0, -1), beside the soft score; None generates only for coherence."""
    coherence_prompts: int = 8
    """Prompts from which replies are generated at each strength to measure coherence; 0 generates nothing."""
    reply_tokens: int = 16
    """Most tokens of such a reply."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(5, points=self.points)
        at_least(0, coherence_prompts=self.coherence_prompts)
        at_least(1, reply_tokens=self.reply_tokens)
        if not 0 < self.loss < 1:
            raise InputError(f"loss is {self.loss}: give a share between 0 and 1")
        if self.strengths is not None and (len(set(self.strengths)) < 5 or 0.0 not in self.strengths):
            raise InputError("strengths need 0 and at least four others, e.g. --strengths=-2:2:0.5")
        for value in self.strengths or ():
            _finite(strengths=value)

    @classmethod
    def smoke(cls) -> SweepConfig:
        """Seconds: few items, wide intervals."""
        return cls(prompts=12, items=48, points=9, coherence_prompts=2, max_pairs=24)


@dataclass(frozen=True, kw_only=True)
class ChooseConfig(Measured):
    """Choose the strength under a helpfulness budget."""

    budget: float = 0.05
    """Share of helpfulness that may be lost."""
    budget_kind: BudgetKind = "relative"
    """What the share is of: P_0 (relative), 1 (absolute), or P_0 minus the chance of guessing (above-chance)."""
    side: Literal[1, -1] = 1
    """1 steers towards the positive side of the pairs, -1 away from it."""
    cap: float = 4.0
    """Largest strength that is tried, in mean hidden norms of the steered blocks."""
    resamples: int = 1000
    """Bootstrap resamples."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(100, resamples=self.resamples)
        _finite(cap=self.cap)
        if not 0 < self.budget < 1:
            raise InputError(f"budget is {self.budget}: give a share between 0 and 1, e.g. 0.05")
        if self.cap <= 0:
            raise InputError(f"cap is {self.cap}: give a number above 0")

    @classmethod
    def smoke(cls) -> ChooseConfig:
        """Seconds: few items, wide intervals."""
        return cls(prompts=12, items=96, max_pairs=24, resamples=200)


@dataclass(frozen=True, kw_only=True)
class DiagnoseConfig(Measured):
    """Check what the theory assumes, and in which range of strengths it holds."""

    strengths: tuple[float, ...] | None = None
    """Positive strengths at which the assumptions are checked; None takes six up to where helpfulness suffers."""
    top: int = 10
    """Number of likeliest wrong tokens whose noise is measured."""
    fit: float = 0.99
    """Least R^2 of a straight line through the origin for an assumption to hold up to a strength."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, top=self.top)
        if not 0 < self.fit < 1:
            raise InputError(f"fit is {self.fit}: give an R^2 between 0 and 1")
        if self.strengths is not None and (len(self.strengths) < 3 or min(self.strengths) <= 0):
            raise InputError("strengths of a diagnosis must be at least three positive numbers")

    @classmethod
    def smoke(cls) -> DiagnoseConfig:
        """Seconds: few items."""
        return cls(prompts=12, items=48, max_pairs=24)


@dataclass(frozen=True, kw_only=True)
class LayersConfig(Measured):
    """Compare layers: gain of alignment per unit of lost helpfulness."""

    layers: str | None = "0:1.0"
    """Blocks to compare; by default all."""
    budget: float = 0.05
    """Share of helpfulness at which layers are compared."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.budget < 1:
            raise InputError(f"budget is {self.budget}: give a share between 0 and 1, e.g. 0.05")

    @classmethod
    def smoke(cls) -> LayersConfig:
        """Seconds: few items."""
        return cls(prompts=12, items=48, max_pairs=24)


@dataclass(frozen=True, kw_only=True)
class ApplyConfig(VectorSource):
    """Generate with and without steering, side by side."""

    prompt: tuple[str, ...] = ()
    """Prompts to continue; without any the reference model is asked how it is."""
    prompts_file: str | None = None
    """Further prompts, JSON lines with ``prompt``, or one a line."""
    strength: float = 1.0
    """Strength in units of the unit vectors; ``sweep`` and ``choose`` say what is much."""
    positions: Positions = "all"
    """Which tokens are steered."""
    keep_norm: bool = False
    """Whether steered states are rescaled to the norm they had."""
    tokens: int = 40
    """Most new tokens."""
    temperature: float = 0.0
    """Divides the logits; 0 takes the likeliest token. Baseline and steered draw from the same random numbers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _finite(strength=self.strength, temperature=self.temperature)
        at_least(1, tokens=self.tokens)

    @classmethod
    def smoke(cls) -> ApplyConfig:
        """A few words of the reference model."""
        return cls(max_pairs=16, strength=2.0, tokens=12)


@dataclass(frozen=True, kw_only=True)
class ExportConfig(VectorSource):
    """Write a steering vector for other programs."""

    to: str | None = None
    """File (.gguf) or folder to write; None takes ``vector.gguf`` or ``steered`` in the run's folder."""
    format: ExportFormat = "gguf"
    """gguf: a control vector for llama.cpp. folder: a copy of the model with the vector folded into its biases."""
    strength: float = 1.0
    """Strength folded into what is written."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _finite(strength=self.strength)

    @classmethod
    def smoke(cls) -> ExportConfig:
        """The folded folder, which needs no extra library."""
        return cls(max_pairs=16, format="folder")


@dataclass(frozen=True, kw_only=True)
class RefitConfig:
    """Fit the theory's curves to the numbers that the authors' repository holds."""

    curve: Literal["all", "international_law", "medical_genetics", "high_school_computer_science"] = "all"
    """Which question set to take."""

    @classmethod
    def smoke(cls) -> RefitConfig:
        """All of them: they are few."""
        return cls()


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Train a small model on texts with opinions, and write pairs, prompts and items from texts that it never saw."""

    reviews: str | None = None
    """Texts with an opinion, JSON lines with ``text`` and ``label`` (pos or neg); without them talks of the cheerful
    and the gloomy persona of the reference world."""
    text: tuple[str, ...] = ()
    """Further texts to learn from (.txt or .jsonl), whose held-out part asks for helpfulness; without them a small
    phrase grammar."""
    held_out: int = 5
    """One document in so many is kept away from the model."""
    fold: int = 0
    """Which document of so many it is, from 0: another fold is another held-out set and another model."""
    frame: str = "\nthis is a"
    """What asks for a verdict, behind a piece of a text."""
    good: tuple[str, ...] = ("good", "great", "excellent", "wonderful", "brilliant", "perfect", "fun", "beautiful")
    """Verdicts that count as +1."""
    bad: tuple[str, ...] = ("bad", "terrible", "awful", "boring", "stupid", "dull", "poor", "ridiculous")
    """Verdicts that count as -1."""
    words: int = 12
    """Words of a piece of an opinion, before the frame."""
    passage_words: int = 40
    """Words of a passage, and most words before a question."""
    pairs: int = 400
    """Most contrast pairs: those whose words lean furthest to their side."""
    options: int = 4
    """Answers of a question."""
    vocabulary: int = 4096
    """Most tokens of the byte-pair vocabulary."""
    width: int = 128
    """Width of the residual stream."""
    depth: int = 6
    """Number of blocks."""
    heads: int = 4
    """Attention heads."""
    context: int = 128
    """Tokens of a window."""
    rows: int = 16
    """Windows per step."""
    steps: int = 1500
    """Optimizer steps."""
    learning_rate: float = 3e-3
    """Peak learning rate."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision."""

    def __post_init__(self) -> None:
        at_least(2, held_out=self.held_out, options=self.options)
        at_least(4, words=self.words, passage_words=self.passage_words, pairs=self.pairs)
        at_least(1, rows=self.rows, steps=self.steps, depth=self.depth)
        if not 0 <= self.fold < self.held_out:
            raise InputError(
                f"fold is {self.fold}: with held_out={self.held_out} it must lie in 0 to {self.held_out - 1}"
            )
        if not self.good or not self.bad or set(self.good) & set(self.bad):
            raise InputError("good and bad verdicts must be two lists of words without a common one")

    def training(self) -> TrainingConfig:
        """Course of the training."""
        warmup = min(self.steps // 10, 100)
        return TrainingConfig(
            steps=self.steps,
            learning_rate=self.learning_rate,
            warmup=warmup,
            final_fraction=0.02,
            precision=self.precision,
            checkpoint_every=max(self.steps // 5, 1),
        )

    @classmethod
    def smoke(cls) -> TrainConfig:
        """Seconds: shows the course of things; the model learns little."""
        return cls(
            words=10,
            passage_words=10,
            pairs=50,
            vocabulary=512,
            width=32,
            depth=3,
            heads=2,
            context=64,
            rows=8,
            steps=20,
        )

    @classmethod
    def cpu(cls) -> TrainConfig:
        """About ten minutes of one core."""
        return cls()

    @classmethod
    def gpu(cls) -> TrainConfig:
        """A larger model for longer."""
        return cls(
            vocabulary=8192,
            width=512,
            depth=8,
            heads=8,
            context=256,
            rows=64,
            steps=3000,
            learning_rate=1e-3,
            precision="bf16",
        )


CONFIGS = {
    "train": TrainConfig,
    "extract": ExtractConfig,
    "sweep": SweepConfig,
    "choose": ChooseConfig,
    "diagnose": DiagnoseConfig,
    "layers": LayersConfig,
    "apply": ApplyConfig,
    "export": ExportConfig,
    "refit": RefitConfig,
}
