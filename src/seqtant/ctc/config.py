"""What a user can ask of the CTC room: one frozen configuration per verb."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from seqtant.errors import InputError
from seqtant.settings import Names


def _demand(condition: bool, name: str, value: object, rule: str) -> None:
    if not condition:
        raise InputError(f"{name} is {value}: it must be {rule}")


@dataclass(frozen=True, kw_only=True)
class Utterances:
    """How many utterances are made from single recordings, and how; lists of utterances are used as they are."""

    train: int = 1600
    """Utterances to learn from."""
    development: int = 256
    """Utterances for decisions during training."""
    test: int = 512
    """Utterances for the final measurement."""
    digits: tuple[int, int] = (3, 6)
    """Fewest and most digits of an utterance."""
    noise: tuple[float, float] = (0.001, 0.004)
    """Amplitude (standard deviation) of the white noise added; full scale is 1."""
    speed: tuple[float, float] = (0.9, 1.1)
    """Slowest and fastest speed at which recordings are played for training, pitch and all; tests are at 1."""
    tail: float = 0.8
    """Seconds of silence at the end of development and test utterances, so that late words are not cut off."""
    level: float | None = None
    """Root-mean-square level that every recording is brought to, full scale is 1; none: as loud as it was recorded."""
    first_test_take: int = 0
    """First of the five takes of every speaker's digits that are for testing; the next five are for development."""

    def __post_init__(self) -> None:
        for name in ("train", "development", "test"):
            _demand(getattr(self, name) >= 1, f"utterances.{name}", getattr(self, name), "at least 1")
        _demand(1 <= self.digits[0] <= self.digits[1], "utterances.digits", self.digits, "1 <= fewest <= most")
        _demand(0 <= self.noise[0] <= self.noise[1], "utterances.noise", self.noise, "0 <= least <= most")
        _demand(0.5 <= self.speed[0] <= self.speed[1] <= 2, "utterances.speed", self.speed, "0.5 <= least <= most <= 2")
        _demand(self.tail >= 0, "utterances.tail", self.tail, "0 or more seconds")
        _demand(self.level is None or self.level > 0, "utterances.level", self.level, "above 0, or none")
        _demand(self.first_test_take >= 0, "utterances.first_test_take", self.first_test_take, "0 or more")


@dataclass(frozen=True, kw_only=True)
class Network:
    """Shape of the causal encoder."""

    channels: int = 80
    """Width."""
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4)
    """Frames between the three taps of each residual block."""
    stack: int = 3
    """Feature frames (10 ms) per model frame."""
    bands: int = 40
    """Mel bands."""


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """How weights are learned, with AdamW."""

    learning_rate: float = 4e-3
    """Peak learning rate of plain CTC from fresh weights."""
    finetune_rate: float = 2.5e-3
    """Peak learning rate of whatever follows."""
    batch_size: int = 16
    """Utterances per step."""
    warmup: int = 60
    """Steps over which the learning rate rises."""
    clip: float = 1.0
    """Largest norm of the whole gradient."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Decay rates of AdamW's two averages."""


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """Details of Align With Purpose and of its relatives."""

    num_samples: int = 5
    """Paths drawn per utterance."""
    candidates: Literal["before-last", "any", "tokens", "published"] = "before-last"
    """Which frames low latency may remove."""
    shifts: int = 1
    """Frames low latency removes per path."""
    temperature: float = 1.0
    """Of the distribution paths are drawn from."""
    margin: float = 0.0
    """Score difference to be reached, nats per frame."""


@dataclass(frozen=True, kw_only=True)
class Guard:
    """When a run counts as collapsed."""

    every: int = 50
    """Steps between two checks."""
    wer_increase: float = 30.0
    """Percentage points the development word error rate may rise above its start."""
    blank_share: float = 0.995
    """Largest share of frames that may be blank."""
    utterances: int = 64
    """Development utterances looked at."""

    def __post_init__(self) -> None:
        _demand(self.every >= 1, "guard.every", self.every, "at least 1")
        _demand(self.wer_increase >= 0, "guard.wer_increase", self.wer_increase, "0 or more points")
        _demand(self.utterances >= 1, "guard.utterances", self.utterances, "at least 1")
        _demand(0 < self.blank_share <= 1, "guard.blank_share", self.blank_share, "above 0 and at most 1")


@dataclass(frozen=True, kw_only=True)
class SpeechConfig:
    """What every verb that trains shares."""

    data: str | None = None
    """Checkout of the Free Spoken Digit Dataset; or a folder with train.jsonl, development.jsonl and test.jsonl, or
    with folders train, development and test of WAV files beside texts; or a .txt file, whose lines eSpeak NG speaks
    (extra ``espeak``); none: built-in tones, which are no speech."""
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
    base_steps: int = 500
    """Steps of plain CTC before anything else."""

    def __post_init__(self) -> None:
        _demand(self.base_steps >= 1, "base_steps", self.base_steps, "at least 1")

    @classmethod
    def smoke(cls) -> Self:
        """Seconds on one core, on tones: shows that everything works, and nothing else."""
        return replace(
            cls(),
            utterances=Utterances(train=128, development=16, test=32, digits=(2, 3)),
            network=Network(channels=32, dilations=(1, 2, 4), bands=20),
            optimization=Optimization(learning_rate=1e-2, finetune_rate=5e-3, batch_size=8, warmup=20),
            base_steps=250,
        )

    @classmethod
    def cpu(cls) -> Self:
        """One to three minutes on one core, on real digits."""
        return cls()

    @classmethod
    def gpu(cls) -> Self:
        """A wider network and twenty times the utterances."""
        return replace(
            cls(),
            utterances=Utterances(train=20_000, development=2_000, test=12_000),
            network=Network(channels=384, dilations=(1, 2, 4, 8, 16, 1, 2, 4, 8, 16), bands=80),
            optimization=Optimization(learning_rate=1e-3, finetune_rate=5e-4, batch_size=64, warmup=500),
            base_steps=4_000,
        )


@dataclass(frozen=True, kw_only=True)
class TrainConfig(SpeechConfig):
    """Train a streaming recognizer with plain CTC."""

    base_steps: int = 900
    """Steps, with the learning rate falling to 0 at the end."""


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(SpeechConfig):
    """Give a trained recognizer a property it lacks, by a weight or within a budget of word errors."""

    model: str | None = None
    """Folder of the recognizer to start from; none trains one first."""
    method: str = "awp"
    """Method by name: awp, awp-mwer, awp-both, delay-penalty, trim-tail, peak-first, ..."""
    weight: float = 0.2
    """Weight of the method; with a budget, the first weight tried."""
    ramp: int = 0
    """Steps over which the weight rises from 0 (Align With Purpose only)."""
    base_steps: int = 900
    """Steps of plain CTC where no model is given, with the learning rate falling to 0 at the end."""
    steps: int = 400
    """Steps with the method."""
    budget_wer: float | None = None
    """Percentage points of word error rate that may be spent: finds the largest weight within them."""
    budget_runs: int = 6
    """Most weights tried for a budget."""
    start_wer: float = 20.0
    """Development word error rate (percent) below which the method starts; plain CTC until then."""
    start_steps: int = 1000
    """Most steps of plain CTC spent on reaching that."""
    guard: Guard = field(default_factory=Guard)
    """When a run counts as collapsed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _demand(math.isfinite(self.weight) and self.weight >= 0, "weight", self.weight, "finite and 0 or more")
        _demand(self.steps >= 1, "steps", self.steps, "at least 1")
        _demand(0 <= self.ramp <= self.steps, "ramp", self.ramp, f"between 0 and steps ({self.steps})")
        _demand(self.budget_wer is None or self.budget_wer > 0, "budget_wer", self.budget_wer, "above 0 points")
        _demand(self.budget_runs >= 1, "budget_runs", self.budget_runs, "at least 1")
        _demand(0 < self.start_wer <= 100, "start_wer", self.start_wer, "above 0 and at most 100 percent")

    @classmethod
    def smoke(cls) -> Self:
        """Seconds, on tones."""
        return replace(super().smoke(), steps=40)


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


@dataclass(frozen=True, kw_only=True)
class SweepConfig(SpeechConfig):
    """Compare methods from one checkpoint: latency bought, word errors paid."""

    methods: Names = ("ctc", "awp")
    """Methods by name; plain CTC is always run, for comparison."""
    weights: tuple[float, ...] = (0.2, 0.5)
    """Weights of Align With Purpose."""
    method_weights: dict[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])
    """Weights of other methods by name, e.g. {delay-penalty: [0.02, 0.1]}; else their defaults."""
    steps: int = 400
    """Steps with each method, all from the same checkpoint and in the same order of batches."""
    seeds: int = 1
    """Independent repetitions: data, initial weights and order anew."""
    zero_steps: int = 10
    """Steps of the check that weight 0 gives the weights of plain CTC to the bit; 0 skips it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _demand(len(self.methods) > 0, "methods", self.methods, "at least one method")
        _demand(self.steps >= 1, "steps", self.steps, "at least 1")
        _demand(self.seeds >= 1, "seeds", self.seeds, "at least 1")
        for method in self.method_weights:
            _demand(method in self.methods, "method_weights", method, f"one of the methods {', '.join(self.methods)}")
        for weight in (*self.weights, *(weight for row in self.method_weights.values() for weight in row)):
            _demand(math.isfinite(weight) and weight >= 0, "weights", weight, "finite and 0 or more")

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

    @classmethod
    def smoke(cls) -> Self:
        """Seconds, on tones."""
        return replace(super().smoke(), steps=40, zero_steps=3)

    @classmethod
    def gpu(cls) -> Self:
        """Every method, five seeds, more test words."""
        return replace(
            super().gpu(),
            methods=("ctc", "awp", "delay-penalty", "trim-tail", "peak-first"),
            weights=(0.05, 0.2, 0.5, 1.0),
            steps=2_500,
            seeds=5,
        )


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """Listen to a sound file as it would arrive, and show when each word comes out."""

    file: str | None = None
    """Sound file; none: a made-up utterance of tones."""
    model: str | None = None
    """Folder of the recognizer; none: a small one trained on tones within seconds."""
    against: str | None = None
    """Folder of a second recognizer for comparison."""
    chunk_ms: float = 100.0
    """Sound handed over at a time."""

    def __post_init__(self) -> None:
        _demand(self.chunk_ms > 0, "chunk_ms", self.chunk_ms, "above 0")


@dataclass(frozen=True, kw_only=True)
class LatencyConfig:
    """Measure delays and word errors of any recognizer from CTM files."""

    hyp: str | None = None
    """CTM file of the system: the start of a word is when it was emitted; none: a made-up system of known delay."""
    ref: str | None = None
    """CTM file with the true word times."""
    against: str | None = None
    """CTM file of a second system on the same recordings, for a paired comparison."""
    draws: int = 1000
    """Bootstrap samples."""

    def __post_init__(self) -> None:
        _demand((self.hyp is None) == (self.ref is None), "ref", self.ref, "given together with hyp")
        _demand(self.draws >= 100, "draws", self.draws, "at least 100")


@dataclass(frozen=True, kw_only=True)
class DiagnoseConfig:
    """Look into a CTC model: how peaked, sure, silent and late it is, and whether its loss has the right gradient."""

    model: str | None = None
    """Folder of the recognizer; none: a small one trained on tones within seconds."""
    data: str | None = None
    """Speech to look at, as for training; none: tones."""
    test_speaker: str | None = None
    """Speaker whose recordings are looked at."""
    utterances: int = 128
    """Utterances to look at."""

    def __post_init__(self) -> None:
        _demand(self.utterances >= 2, "utterances", self.utterances, "at least 2")

    @classmethod
    def smoke(cls) -> Self:
        """A few utterances of tones."""
        return cls(utterances=16)


@dataclass(frozen=True, kw_only=True)
class AlignConfig:
    """Find the time of every word of a known text in a sound file."""

    file: str | None = None
    """Sound file; none: a made-up utterance of tones."""
    text: str | None = None
    """Its words, separated by spaces."""
    model: str | None = None
    """Folder of the recognizer; none: a small one trained on tones within seconds."""

    def __post_init__(self) -> None:
        _demand((self.file is None) == (self.text is None), "text", self.text, "given together with a sound file")


@dataclass(frozen=True, kw_only=True)
class DecodeConfig:
    """Recognize a sound file: greedily and by prefix beam search, with time stamps."""

    file: str | None = None
    """Sound file; none: a made-up utterance of tones."""
    model: str | None = None
    """Folder of the recognizer; none: a small one trained on tones within seconds."""
    beam: int = 8
    """Prefixes kept after each frame."""
    best: int = 4
    """Hypotheses shown."""

    def __post_init__(self) -> None:
        _demand(self.beam >= 1, "beam", self.beam, "at least 1")
        _demand(1 <= self.best <= self.beam, "best", self.best, f"between 1 and beam ({self.beam})")


CONFIGS: dict[str, type] = {
    "train": TrainConfig,
    "finetune": FinetuneConfig,
    "sweep": SweepConfig,
    "stream": StreamConfig,
    "latency": LatencyConfig,
    "diagnose": DiagnoseConfig,
    "align": AlignConfig,
    "decode": DecodeConfig,
}
"""The room's verbs."""
