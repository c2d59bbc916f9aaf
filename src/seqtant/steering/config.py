"""What a user can ask of steering: one configuration per verb."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from seqtant.errors import InputError
from seqtant.settings import Count, Finite, Listed, Positive, Share, VerbConfig, config
from seqtant.sources import ModelSource, ObjectOrPath, Rows
from seqtant.training.config import TrainingConfig

Positions = Literal["all", "prompt", "last", "generated"]
TwoOrMore = Annotated[int, Field(ge=2)]
"""A number of which less than two says nothing."""


def parse_strengths(text: str) -> tuple[float, ...]:
    """Strengths from ``first:last:step``, never beyond the last, or from numbers with commas.

    Example:
        >>> parse_strengths("-1:1:0.5"), parse_strengths("0:1:0.4"), parse_strengths("0,2")
        ((-1.0, -0.5, 0.0, 0.5, 1.0), (0.0, 0.4, 0.8), (0.0, 2.0))
    """
    try:
        if ":" not in text:
            return tuple(float(part) for part in text.split(","))
        first, last, step = (float(part) for part in text.split(":"))
        # A step that divides the range gives the last strength too, whatever rounding says.
        count = math.floor((last - first) / step + 1e-9)
        if count < 1 or count > 10_000:
            raise ValueError(f"{count} steps")
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise InputError(f"strengths '{text}' cannot be read: write first:last:step or numbers with commas") from error
    return tuple(round(first + step * number, 12) for number in range(count + 1))


def _layers_as_text(value: Any) -> Any:
    """Block numbers as the text that a flag would take, so that both ways leave the same record."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, list | tuple | range):
        return value
    numbers = typing.cast(Sequence[Any], value)
    if not numbers or any(isinstance(each, bool) or not isinstance(each, int) for each in numbers):
        raise InputError(f"layers {value!r:.60} are no blocks: give whole numbers, e.g. [2, 3], or '0.3:0.6'")
    return ",".join(map(str, numbers))


def _refuse(unfit: Callable[[Any], bool], message: str) -> AfterValidator:
    """Refuses what does not fit a setting; a field in braces in the message stands for the value."""

    def checked(value: Any) -> Any:
        if unfit(value):
            raise InputError(message.format(value))
        return value

    return AfterValidator(checked)


_as_numbers = BeforeValidator(
    lambda value: parse_strengths(value) if isinstance(value, str) else getattr(value, "tolist", lambda: value)()
)
Strengths = Annotated[tuple[Finite, ...], Listed(), _as_numbers]
"""Numbers, an array, or a text such as ``-1:1:0.5`` or ``0,2``."""
SweepStrengths = Annotated[
    Strengths,
    _refuse(
        lambda strengths: len(set(strengths)) < 5 or 0.0 not in strengths,
        "strengths need 0 and at least four others, e.g. --strengths=-2:2:0.5",
    ),
]
"""Strengths on both sides of 0, 0 among them."""
PositiveStrengths = Annotated[
    Strengths,
    _refuse(
        lambda strengths: len(strengths) < 3 or min(strengths) <= 0,
        "strengths of a diagnosis must be at least three positive numbers",
    ),
]
"""At least three strengths above 0."""
Layers = Annotated[str, BeforeValidator(_layers_as_text)]
"""``2,3``, ``4:8``, ``0.3:0.6``; or block numbers."""
Method = Annotated[
    Literal["mean", "pca", "repe", "probe", "random", "centered-pca"],
    _refuse(
        lambda method: method == "centered-pca",
        "method is centered-pca: centering the differences of ordered pairs subtracts their mean, which is the signal "
        "itself; use mean, pca (not centered) or repe (order shuffled, then centered)",
    ),
]
"""How a direction is drawn from pairs."""
Template = Annotated[
    str,
    _refuse(
        lambda template: template != "chat" and "{text}" not in template,
        "template {!r} has no place for {{text}}: write e.g. 'Question: {{text}}'",
    ),
]
"""``chat``, or a text with ``{text}``."""
Prompts = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
"""Texts, or one text."""
FourOrMore = Annotated[int, Field(ge=4)]
"""A number of words or pairs that is enough to be of use."""


@config
class VectorSource(VerbConfig):
    """Which model, and where its steering vector comes from."""

    model: ModelSource = field(default="reference", kw_only=False)
    """Model folder, hub name, or ``reference`` for the model that ships."""
    vector: ObjectOrPath | None = field(default=None, kw_only=False)
    """Steering vector (.safetensors, or .gguf); otherwise one is extracted from the pairs."""
    pairs: Rows | None = None
    """Contrast pairs, JSON lines with ``positive`` and ``negative`` and, if both answer one prompt, ``prompt``. Without
    it the reference model takes talks of its cheerful and its gloomy persona."""
    layers: Layers | None = None
    """Blocks to steer: ``2,3``, ``4:8`` or fractions of the depth ``0.3:0.6``; by default all a vector file holds, else
    from a fifth to two fifths of the depth, the part that the paper steers (blocks 8 to 15 of 40)."""
    method: Method = "mean"
    """How a direction is drawn from the pairs: mean difference, uncentered PCA of the differences, PCA of shuffled and
    centered differences (repe), logistic probe, or a random control."""
    template: Template = "{text}"
    """What each text of a pair is put into: a text with ``{text}``, or ``chat`` for the tokenizer's chat template."""
    max_pairs: TwoOrMore = 128
    """Most contrast pairs that are read."""
    dtype: str | None = None
    """Number type to load the model in; float32 on a CPU and the checkpoint's own elsewhere."""
    allow_other_model: bool = False
    """Whether a vector made from other weights or another tokenizer may be used; its size must fit all the same."""


@config
class Measured(VectorSource):
    """What is measured on both sides of the trade-off."""

    behavior: Rows | None = None
    """Behavior prompts, JSON lines with ``prompt``, ``good`` and ``bad`` (lists of continuations). Without it the
    reference model is asked how it is: bright replies are good, dark ones bad."""
    helpfulness: Rows | None = None
    """What must not suffer, JSON lines: ``prompt``, ``options`` and ``answer`` (multiple choice, cloze), or ``text``
    (helpfulness is then one over the perplexity); or ``lm-eval:TASK``, a multiple-choice task of lm-evaluation-harness.
    Without it the reference model is asked facts."""
    score: Literal["restricted", "full"] = "restricted"
    """Probability of the right answer among the options (restricted), or among all tokens (full)."""
    positions: Positions = "all"
    """Which tokens are steered; positions count from the start of the text, also under a cache; generated ones begin
    with the prompt's last token, which predicts the first of them."""
    prompts: TwoOrMore = 64
    """Most behavior prompts."""
    items: TwoOrMore = 400
    """Most helpfulness items."""
    tokens_per_batch: Count = 4096
    """Most tokens in one forward pass."""


@config
class TrainConfig(VerbConfig):
    """Train a small model on texts with opinions; write it with pairs, prompts and items from texts it never saw."""

    verb: ClassVar[str] = "steering.train"
    reviews: Rows | None = field(default=None, kw_only=False)
    """Texts with an opinion, JSON lines with ``text`` and ``label`` (pos or neg); without them talks of the cheerful
    and the gloomy persona of the reference world."""
    text: tuple[ObjectOrPath, ...] = ()
    """Further texts to learn from (.txt or .jsonl; may be repeated), whose held-out part asks for helpfulness; without
    them a small phrase grammar. From Python a list of documents may stand in place of a file."""
    held_out: TwoOrMore = 5
    """One document in so many is kept away from the model."""
    fold: Annotated[int, Field(ge=0)] = 0
    """Which document of so many it is, from 0: another fold is another held-out set and another model."""
    frame: str = "\nthis is a"
    """What asks for a verdict, behind a piece of a text."""
    good: tuple[str, ...] = ("good", "great", "excellent", "wonderful", "brilliant", "perfect", "fun", "beautiful")
    """Verdicts that count as +1."""
    bad: tuple[str, ...] = ("bad", "terrible", "awful", "boring", "stupid", "dull", "poor", "ridiculous")
    """Verdicts that count as -1."""
    words: FourOrMore = 12
    """Words of a piece of an opinion, before the frame."""
    passage_words: FourOrMore = 40
    """Words of a passage, and most words before a question."""
    pairs: FourOrMore = 400
    """Most contrast pairs: those whose words lean furthest to their side."""
    options: TwoOrMore = 4
    """Answers of a question."""
    vocabulary: int = 4096
    """Most tokens of the byte-pair vocabulary."""
    width: int = 128
    """Width of the residual stream."""
    depth: Count = 6
    """Number of blocks."""
    heads: int = 4
    """Attention heads."""
    context: int = 128
    """Tokens of a window."""
    rows: Count = 16
    """Windows per step."""
    steps: Count = 1500
    """Optimizer steps."""
    learning_rate: float = 3e-3
    """Peak learning rate."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision."""

    def __post_init__(self) -> None:
        if self.fold >= self.held_out:
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


@config
class ExtractConfig(VectorSource):
    """Extract a steering vector from contrast pairs; with --out it is kept as vector.safetensors."""

    verb: ClassVar[str] = "steering.extract"
    layers: Layers | None = "0:1.0"
    """Blocks to extract a direction for: ``2,3``, ``4:8`` or fractions of the depth; by default all."""
    folds: TwoOrMore = 5
    """Parts into which pairs are split: each part is told apart by a vector made from the others."""


@config
class SweepConfig(Measured):
    """Measure alignment and helpfulness over a range of strengths; fit the S-curve and the bell."""

    verb: ClassVar[str] = "steering.sweep"
    strengths: SweepStrengths | None = None
    """Strengths in units of the unit vectors, 0 among them: first:last:step, or numbers with commas; None finds the
    range in which helpfulness stays usable."""
    points: Annotated[int, Field(ge=5)] = 21
    """Number of strengths, if the range is found."""
    loss: Share = 0.2
    """Relative loss of helpfulness at which the range ends, if it is found."""
    scorer: ObjectOrPath | None = None
    """Registered scorer of generated replies (+1, 0, -1), such as begins or contains, beside the soft score; from
    Python also a function of a prompt and a reply. None generates only for coherence."""
    coherence_prompts: Annotated[int, Field(ge=0)] = 8
    """Prompts from which replies are generated at each strength to measure coherence; 0 generates nothing."""
    reply_tokens: Count = 16
    """Most tokens of such a reply."""


@config
class Budgeted(Measured):
    """What steering may cost."""

    budget: Share = 0.05
    """Share of helpfulness that may be lost, e.g. 0.05."""
    coherence_budget: Positive = 0.5
    """Nats per token that steered greedy replies may lose under the model without steering: 0.5 makes each token 1.65
    times less likely. On the models tried here text falls apart soon after."""
    reply_tokens: Count = 16
    """Most tokens of such a reply."""


@config
class ChooseConfig(Budgeted):
    """Choose the strength that aligns best within budgets of helpfulness and coherence; verify it on held-out items."""

    verb: ClassVar[str] = "steering.choose"
    layers: Layers | None = None
    """Blocks to steer: ``2,3``, ``4:8`` or fractions of the depth ``0.3:0.6``; by default all a vector file holds, else
    from a fifth to two fifths of the depth; ``auto`` compares every block alone and these, and takes the best."""
    budget_kind: Literal["relative", "absolute", "above-chance"] = "relative"
    """What the share is of: P_0 (relative), 1 (absolute), or P_0 minus the chance of guessing (above-chance)."""
    side: Literal[1, -1] = 1
    """1 steers towards the positive side of the pairs, -1 away from it."""
    cap: Positive = 4.0
    """Largest strength that is tried, in mean hidden norms of the steered blocks."""
    resamples: Annotated[int, Field(ge=100)] = 1000
    """Bootstrap resamples."""


@config
class DiagnoseConfig(Measured):
    """Check what the theory assumes (A1 to A3), and in which range of strengths it holds."""

    verb: ClassVar[str] = "steering.diagnose"
    strengths: PositiveStrengths | None = None
    """Positive strengths at which the assumptions are checked; None takes six up to where helpfulness suffers."""
    top: Count = 10
    """Number of likeliest wrong tokens whose noise is measured."""
    fit: Share = 0.99
    """Least R^2 of a straight line through the origin for an assumption to hold up to a strength."""


@config
class LayersConfig(Budgeted):
    """Compare layers: the most alignment that each gains within budgets of helpfulness and coherence."""

    verb: ClassVar[str] = "steering.layers"
    layers: Layers | None = "0:1.0"
    """Blocks to compare; by default all."""


@config
class ApplyConfig(VectorSource):
    """Generate with and without steering, side by side."""

    verb: ClassVar[str] = "steering.apply"
    prompt: Prompts = ()
    """Prompts to continue (may be repeated); without any the reference model is asked how it is."""
    prompts_file: Rows | None = None
    """Further prompts, JSON lines with ``prompt``, or one a line."""
    strength: Finite = 1.0
    """Strength in units of the unit vectors; ``sweep`` and ``choose`` say what is much."""
    positions: Positions = "all"
    """Which tokens are steered."""
    keep_norm: bool = False
    """Whether steered states are rescaled to the norm they had."""
    tokens: Count = 40
    """Most new tokens."""
    temperature: Finite = 0.0
    """Divides the logits; 0 takes the likeliest token. Baseline and steered draw from the same random numbers."""


@config
class ExportConfig(VectorSource):
    """Write a vector for other programs: a GGUF control vector, or a model folder with the vector folded in."""

    verb: ClassVar[str] = "steering.export"
    to: str | None = None
    """File (.gguf) or folder to write; None takes ``vector.gguf`` or ``steered`` in the run's folder."""
    format: Literal["gguf", "folder"] = "gguf"
    """gguf: a control vector for llama.cpp. folder: a copy of the model with the vector folded into its biases."""
    strength: Finite = 1.0
    """Strength folded into what is written."""
