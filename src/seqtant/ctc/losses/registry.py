"""The methods of a sweep by name: each builds a training objective from one weight and shared settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from seqtant.ctc.losses import baselines
from seqtant.ctc.losses.align_with_purpose import AlignWithPurpose
from seqtant.ctc.losses.base import LossTerm, Objective, PlainCTC, TrimTail
from seqtant.ctc.losses.low_latency import Candidates
from seqtant.ctc.losses.properties import PROPERTIES
from seqtant.registry import Registry


@dataclass(frozen=True)
class MethodSettings:
    """Settings that methods may need besides their weight."""

    blank: int = 0
    """Index of the blank."""
    space: int | None = None
    """Label between words; None where every label is a word."""
    feature_rate: float = 100.0
    """Feature frames per second, for methods that speak of seconds."""
    num_samples: int = 5
    """Paths per utterance."""
    candidates: Candidates = "before-last"
    """Which frames low latency may remove."""
    shifts: int = 1
    """Frames low latency removes per path."""
    temperature: float = 1.0
    """Of the sampling distribution."""
    margin: float = 0.0
    """Score difference to be reached, nats per frame."""


Method = Callable[[float, MethodSettings], Objective]
"""Builds the objective of one weight."""


def align_with_purpose(names: Sequence[str], weight: float, settings: MethodSettings) -> Objective:
    """Builds CTC and Align With Purpose for one registered property or several, all at the same weight."""
    kinds = [PROPERTIES[name] for name in names]
    purpose = AlignWithPurpose(
        # A property takes what it declares of the shared settings: low latency its candidates, a word rule the space.
        [kind(**{name: getattr(settings, name) for name in getattr(kind, "takes", ())}) for kind in kinds],
        weight,
        num_samples=settings.num_samples,
        margin=settings.margin,
        temperature=settings.temperature,
        blank=settings.blank,
    )
    return Objective([PlainCTC(blank=settings.blank), purpose])


def replace_ctc(
    loss: type[baselines.DelayPenalizedCTC | baselines.BayesRiskCTC | baselines.LabelPriorCTC],
    weight: float,
    settings: MethodSettings,
) -> Objective:
    """Builds a loss that stands in for CTC and whose one number is the weight."""
    return Objective([loss(weight, blank=settings.blank)])


def add_to_ctc(term: Callable[[float, MethodSettings], LossTerm], weight: float, settings: MethodSettings) -> Objective:
    """Builds CTC and one more loss."""
    return Objective([PlainCTC(blank=settings.blank), term(weight, settings)])


METHODS: Registry[Method] = Registry(
    "CTC method",
    group="seqtant.ctc_methods",
    entries={
        "ctc": lambda weight, of: Objective([PlainCTC(blank=of.blank)]),
        "awp": partial(align_with_purpose, ("low-latency",)),
        "awp-mwer": partial(align_with_purpose, ("minimum-wer",)),
        "awp-both": partial(align_with_purpose, ("low-latency", "minimum-wer")),
        # The weight is the penalty in nats per model frame.
        "delay-penalty": partial(replace_ctc, baselines.DelayPenalizedCTC),
        # The weight is the longest cut in seconds.
        "trim-tail": lambda weight, of: Objective(
            [PlainCTC(blank=of.blank)], trim=TrimTail(round(weight * of.feature_rate))
        ),
        "peak-first": partial(add_to_ctc, lambda weight, of: baselines.PeakFirst(weight, blank=of.blank)),
        # A baseline needs two paths at least.
        "sampled-mwer": partial(
            add_to_ctc,
            lambda weight, of: baselines.SampledMWER(
                weight, num_samples=max(of.num_samples, 2), space=of.space, blank=of.blank
            ),
        ),
        "nbest-mwer": partial(
            add_to_ctc, lambda weight, of: baselines.NBestMWER(weight, space=of.space, blank=of.blank)
        ),
        # The weight is the risk factor.
        "bayes-risk": partial(replace_ctc, baselines.BayesRiskCTC),
        # The weight is the share of the log-prior taken out.
        "label-prior": partial(replace_ctc, baselines.LabelPriorCTC),
    },
)


def method_of(name: str) -> Method:
    """Finds a method by name; ``awp:NAME`` is Align With Purpose for the registered property of that name.

    Example:
        >>> len(method_of("awp:minimum-wer")(0.5, MethodSettings()).terms)
        2
    """
    prefix, _, rule = name.partition(":")
    return partial(align_with_purpose, (rule,)) if prefix == "awp" and rule else METHODS[name]


FEWER_ERRORS = frozenset({"awp-mwer", "awp-both", "sampled-mwer", "nbest-mwer"})
"""Methods that are asked for fewer word errors."""
