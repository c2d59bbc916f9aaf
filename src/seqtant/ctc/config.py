"""What a user can ask about CTC models: one frozen configuration per verb."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from seqtant.ctc.inputs import RecognizerSource, SoundSource, SpeechSource, Text, WordsSource, utterance_of
from seqtant.errors import InputError
from seqtant.settings import Count, Names, Positive, VerbConfig, config
from seqtant.sources import is_path

Natural = Annotated[int, Field(ge=0)]
"""A whole number of at least 0."""
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A finite number of at least 0."""
Speed = Annotated[float, Field(ge=0.5, le=2)]
"""Playing speed; 1 is as recorded."""
Decay = Annotated[float, Field(ge=0, lt=1)]
"""Share of an average that each step keeps."""


@config
class Utterances:
    """How many utterances are made from single recordings, and how; lists of utterances are used as they are."""

    train: Count = 1600
    """Utterances to learn from."""
    development: Count = 256
    """Utterances for decisions during training."""
    test: Count = 512
    """Utterances for the final measurement."""
    digits: tuple[Count, Count] = (3, 6)
    """Fewest and most digits of an utterance."""
    noise: tuple[NonNegative, NonNegative] = (0.001, 0.004)
    """Amplitude (standard deviation) of the white noise added; full scale is 1."""
    speed: tuple[Speed, Speed] = (0.9, 1.1)
    """Slowest and fastest speed at which recordings are played for training, pitch and all; tests are at 1."""
    tail: NonNegative = 0.8
    """Seconds of silence at the end of development and test utterances, so that late words are not cut off."""
    level: Positive | None = None
    """Root-mean-square level that every recording is brought to, full scale is 1; none: as loud as it was recorded."""
    first_test_take: Natural = 0
    """First of the five takes of every speaker's digits that are for testing; the next five are for development."""

    def __post_init__(self) -> None:
        for name in ("digits", "noise", "speed"):
            low, high = getattr(self, name)
            if low > high:
                raise InputError(f"{name} is ({low:g}, {high:g}): give the smaller number first")


@config
class Network:
    """Shape of the causal encoder."""

    channels: Count = 80
    """Width."""
    dilations: tuple[Count, ...] = (1, 2, 4, 8, 1, 2, 4)
    """Frames between the three taps of each residual block."""
    stack: Count = 3
    """Feature frames (10 ms) per model frame."""
    bands: Count = 40
    """Mel bands."""


@config
class Optimization:
    """How weights are learned, with AdamW."""

    learning_rate: Positive = 4e-3
    """Peak learning rate of plain CTC from fresh weights."""
    finetune_rate: Positive = 2.5e-3
    """Peak learning rate of whatever follows."""
    batch_size: Count = 16
    """Utterances per step."""
    warmup: Natural = 60
    """Steps over which the learning rate rises."""
    clip: Positive = 1.0
    """Largest norm of the whole gradient."""
    betas: tuple[Decay, Decay] = (0.9, 0.98)
    """Decay rates of AdamW's two averages."""


@config
class Purpose:
    """Details of Align With Purpose and of its relatives."""

    num_samples: Count = 5
    """Paths drawn per utterance."""
    candidates: Literal["before-last", "any", "tokens", "published"] = "before-last"
    """Which frames low latency may remove."""
    shifts: Count = 1
    """Frames low latency removes per path."""
    temperature: Positive = 1.0
    """Of the distribution paths are drawn from."""
    margin: NonNegative = 0.0
    """Score difference to be reached, nats per frame."""


@config
class Guard:
    """When a run counts as collapsed."""

    every: Count = 50
    """Steps between two checks."""
    wer_increase: NonNegative = 30.0
    """Percentage points the development word error rate may rise above its start."""
    blank_share: Annotated[float, Field(gt=0, le=1)] = 0.995
    """Largest share of frames that may be blank."""
    utterances: Count = 64
    """Development utterances looked at."""


@config
class SpeechConfig(VerbConfig):
    """What every verb that trains shares."""

    data: SpeechSource | None = field(default=None, kw_only=False)
    """Checkout of the Free Spoken Digit Dataset; or a folder with train.jsonl, development.jsonl and test.jsonl, or
    with folders train, development and test of WAV files beside texts; or a .txt file, whose lines eSpeak NG speaks
    (extra ``espeak``); none: built-in tones, which are no speech. In Python a mapping of train, development and test to
    utterances too."""
    test_speaker: str | None = None
    """Speaker kept out of training and tested on; by default takes 0-4 of every speaker are tested on."""
    units: Literal["word", "letter"] = "word"
    """Whether a label is a word or a letter."""
    utterances: Utterances = field(default_factory=Utterances)
    """How single recordings become utterances."""
    network: Network = field(default_factory=Network)
    """Shape of the encoder."""
    optimization: Optimization = field(default_factory=Optimization)
    """How it learns."""
    purpose: Purpose = field(default_factory=Purpose)
    """Details of the methods."""
    base_steps: Count = 500
    """Steps of plain CTC before anything else."""


@config
class TrainConfig(SpeechConfig):
    """Train a streaming recognizer with plain CTC; with --out it is kept there."""

    verb: ClassVar[str] = "ctc.train"

    base_steps: Count = 900
    """Steps, with the learning rate falling to 0 at the end."""


@config
class StartConfig(VerbConfig):
    """What a finetuning starts from."""

    model: RecognizerSource | None = field(default=None, kw_only=False)
    """Folder of the recognizer to start from; none trains one first; in Python a Recognizer too."""


@config
class FinetuneConfig(SpeechConfig, StartConfig):
    """Give a recognizer a property that it lacks: at a weight, or as much as a budget of word errors buys."""

    verb: ClassVar[str] = "ctc.finetune"
    method: str = "awp"
    """Method by name: awp, awp-mwer, awp-both, delay-penalty, trim-tail, peak-first, ...; or awp: and a property."""
    weight: NonNegative = 0.2
    """Weight of the method; with a budget, the first weight tried."""
    ramp: Natural = 0
    """Steps over which the weight rises from 0 (Align With Purpose only)."""
    base_steps: Count = 900
    """Steps of plain CTC where no model is given, with the learning rate falling to 0 at the end."""
    steps: Count = 400
    """Steps with the method."""
    budget_wer: Positive | None = None
    """Percentage points of word error rate that may be spent: finds the largest weight within them."""
    budget_runs: Count = 6
    """Most weights tried for a budget."""
    start_wer: Annotated[float, Field(gt=0, le=100)] = 20.0
    """Development word error rate (percent) below which the method starts; plain CTC until then."""
    start_steps: Natural = 1000
    """Most steps of plain CTC spent on reaching that."""
    guard: Guard = field(default_factory=Guard)
    """When a run counts as collapsed."""

    def __post_init__(self) -> None:
        if self.ramp > self.steps:
            raise InputError(f"ramp is {self.ramp}: it must end within the {self.steps} steps")


DEFAULT_WEIGHTS: dict[str, tuple[float, ...]] = {
    "ctc": (0.0,),
    "awp": (0.2, 0.5),
    "awp-mwer": (20.0,),
    "awp-both": (0.2,),
    "delay-penalty": (0.02, 0.1),
    "trim-tail": (0.15, 0.45),
    "peak-first": (0.005, 0.02),
    "sampled-mwer": (0.3,),
    "nbest-mwer": (0.3,),
    "bayes-risk": (5.0,),
    "label-prior": (0.3,),
}
"""Weights a sweep takes for each method where none are given; their units differ from method to method."""


@config
class SweepConfig(SpeechConfig):
    """Compare methods from one checkpoint: latency bought, word errors paid.

    With --out, finished runs are kept there, and the same command goes on after an interrupt.
    """

    verb: ClassVar[str] = "ctc.sweep"

    methods: Annotated[Names, Field(min_length=1)] = ("ctc", "awp")
    """Methods by name; plain CTC is always run, for comparison."""
    weights: tuple[NonNegative, ...] = (0.2, 0.5)
    """Weights of Align With Purpose."""
    method_weights: dict[str, tuple[NonNegative, ...]] = field(default_factory=dict[str, tuple[float, ...]])
    """Weights of other methods by name, e.g. {delay-penalty: [0.02, 0.1]}; else their defaults."""
    steps: Count = 400
    """Steps with each method, all from the same checkpoint and in the same order of batches."""
    seeds: Count = 1
    """Independent repetitions: data, initial weights and order anew."""
    zero_steps: Natural = 10
    """Steps of the check that weight 0 gives the weights of plain CTC to the bit; 0 skips it."""

    def __post_init__(self) -> None:
        for method in self.method_weights:
            if method not in self.methods:
                raise InputError(f"method_weights is {method}: it must be one of the methods {', '.join(self.methods)}")

    def plan(self) -> list[tuple[str, float]]:
        """Methods with their weights in the order they run, plain CTC first.

        Example:
            >>> SweepConfig(methods=("awp",), weights=(0.2,)).plan()
            [('ctc', 0.0), ('awp', 0.2)]
        """
        runs = [("ctc", 0.0)]
        for method in self.methods:
            given = self.weights if method == "awp" else DEFAULT_WEIGHTS.get(method, self.weights)
            runs += [(method, weight) for weight in self.method_weights.get(method, given)]
        return list(dict.fromkeys(runs))


@config
class StreamConfig(VerbConfig):
    """Listen to a sound file as it would arrive, and show when each word comes out.

    With --out a page is written that plays it.
    """

    verb: ClassVar[str] = "ctc.stream"
    file: SoundSource | None = field(default=None, kw_only=False)
    """Sound file; none: a made-up utterance of tones; in Python an Utterance, a Recording or (samples, rate) too."""
    model: RecognizerSource | None = field(default=None, kw_only=False)
    """Folder of the recognizer; none: a small one trained on tones within seconds; in Python a Recognizer too."""
    against: RecognizerSource | None = None
    """Folder of a second recognizer for comparison."""
    chunk_ms: Positive = 100.0
    """Sound handed over at a time."""


@config
class LatencyConfig(VerbConfig):
    """Measure delays and word errors of any recognizer from CTM files."""

    verb: ClassVar[str] = "ctc.latency"
    hyp: WordsSource | None = field(default=None, kw_only=False)
    """CTM file of the system: the start of a word is when it was emitted; none: a made-up system of known delay."""
    ref: WordsSource | None = field(default=None, kw_only=False)
    """CTM file with the true word times."""
    against: WordsSource | None = None
    """CTM file of a second system on the same recordings, for a paired comparison."""
    draws: Annotated[int, Field(ge=100)] = 1000
    """Bootstrap samples."""

    def __post_init__(self) -> None:
        if (self.hyp is None) != (self.ref is None):
            raise InputError(
                f"{'hyp' if self.hyp is None else 'ref'} is None: it must be given together with the other"
            )


@config
class DiagnoseConfig(VerbConfig):
    """Look into a CTC model: how peaked, sure, silent and late it is, and whether its loss has the right gradient."""

    verb: ClassVar[str] = "ctc.diagnose"
    model: RecognizerSource | None = field(default=None, kw_only=False)
    """Folder of the recognizer; none: a small one trained on tones within seconds; in Python a Recognizer too."""
    data: SpeechSource | None = field(default=None, kw_only=False)
    """Speech to look at, as for training; none: tones; in Python a list of utterances too."""
    test_speaker: str | None = None
    """Speaker whose recordings are looked at."""
    utterances: Annotated[int, Field(ge=2)] = 128
    """Utterances to look at."""


@config
class AlignConfig(VerbConfig):
    """Find the time of every word of a known text in a sound file."""

    verb: ClassVar[str] = "ctc.align"
    file: SoundSource | None = field(default=None, kw_only=False)
    """Sound file; none: a made-up utterance of tones; in Python an Utterance, a Recording or (samples, rate) too."""
    text: Text | None = field(default=None, kw_only=False)
    """Its words, separated by spaces."""
    model: RecognizerSource | None = field(default=None, kw_only=False)
    """Folder of the recognizer; none: a small one trained on tones within seconds; in Python a Recognizer too."""

    def __post_init__(self) -> None:
        if self.text is None and self.file is not None and not is_path(self.file):
            # An utterance may know what is said in it.
            object.__setattr__(self, "text", " ".join(utterance_of(self.file).text) or None)
        if (self.file is None) != (self.text is None):
            raise InputError(f"text is {self.text}: it must be given together with a sound file")


@config
class DecodeConfig(VerbConfig):
    """Recognize a sound file: greedily and by prefix beam search, with time stamps."""

    verb: ClassVar[str] = "ctc.decode"
    file: SoundSource | None = field(default=None, kw_only=False)
    """Sound file; none: a made-up utterance of tones; in Python an Utterance, a Recording or (samples, rate) too."""
    model: RecognizerSource | None = field(default=None, kw_only=False)
    """Folder of the recognizer; none: a small one trained on tones within seconds; in Python a Recognizer too."""
    beam: Count = 8
    """Prefixes kept after each frame."""
    best: Count = 4
    """Hypotheses shown."""

    def __post_init__(self) -> None:
        if self.best > self.beam:
            raise InputError(f"best is {self.best}: it must be between 1 and beam ({self.beam})")
