"""The methods of a sweep by name: each builds a training objective from one weight and shared settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seqtant.ctc.losses.align_with_purpose import AlignWithPurpose
from seqtant.ctc.losses.base import Objective, PlainCTC, TrimTail
from seqtant.ctc.losses.low_latency import Candidates, LowLatency
from seqtant.ctc.losses.minimum_wer import MinimumWER
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

METHODS: Registry[Method] = Registry(
    "CTC method",
    group="seqtant.ctc_methods",
    entries={
        "ctc": "seqtant.ctc.losses.registry:plain",
        "awp": "seqtant.ctc.losses.registry:low_latency",
        "awp-mwer": "seqtant.ctc.losses.registry:minimum_wer",
        "awp-both": "seqtant.ctc.losses.registry:both",
        "delay-penalty": "seqtant.ctc.losses.registry:delay_penalty",
        "trim-tail": "seqtant.ctc.losses.registry:trim_tail",
        "peak-first": "seqtant.ctc.losses.registry:peak_first",
        "sampled-mwer": "seqtant.ctc.losses.registry:sampled_mwer",
        "nbest-mwer": "seqtant.ctc.losses.registry:nbest_mwer",
        "bayes-risk": "seqtant.ctc.losses.registry:bayes_risk",
        "label-prior": "seqtant.ctc.losses.registry:label_prior",
    },
)

FEWER_ERRORS = frozenset({"awp-mwer", "awp-both", "sampled-mwer", "nbest-mwer"})
"""Methods that are asked for fewer word errors."""


def plain(weight: float, settings: MethodSettings) -> Objective:
    """CTC alone; the weight means nothing."""
    return Objective([PlainCTC(blank=settings.blank)])


def low_latency(weight: float, settings: MethodSettings) -> Objective:
    """CTC and Align With Purpose for earlier emission."""
    return _with_awp(weight, settings, [LowLatency(settings.candidates, settings.shifts)])


def minimum_wer(weight: float, settings: MethodSettings) -> Objective:
    """CTC and Align With Purpose for fewer word errors."""
    return _with_awp(weight, settings, [MinimumWER(settings.space)])


def both(weight: float, settings: MethodSettings) -> Objective:
    """CTC and Align With Purpose for both, at the same weight."""
    return _with_awp(weight, settings, [LowLatency(settings.candidates, settings.shifts), MinimumWER(settings.space)])


def delay_penalty(weight: float, settings: MethodSettings) -> Objective:
    """Delay-penalized CTC; the weight is the penalty in nats per model frame."""
    from seqtant.ctc.losses.delay_penalty import DelayPenalizedCTC

    return Objective([DelayPenalizedCTC(weight, blank=settings.blank)])


def trim_tail(weight: float, settings: MethodSettings) -> Objective:
    """CTC on trimmed input; the weight is the longest cut in seconds."""
    return Objective([PlainCTC(blank=settings.blank)], trim=TrimTail(round(weight * settings.feature_rate)))


def peak_first(weight: float, settings: MethodSettings) -> Objective:
    """CTC and peak-first regularization."""
    from seqtant.ctc.losses.peak_first import PeakFirst

    return Objective([PlainCTC(blank=settings.blank), PeakFirst(weight, blank=settings.blank)])


def sampled_mwer(weight: float, settings: MethodSettings) -> Objective:
    """CTC and sampled minimum word error rate."""
    from seqtant.ctc.losses.mwer import SampledMWER

    samples = max(settings.num_samples, 2)
    term = SampledMWER(weight, num_samples=samples, space=settings.space, blank=settings.blank)
    return Objective([PlainCTC(blank=settings.blank), term])


def nbest_mwer(weight: float, settings: MethodSettings) -> Objective:
    """CTC and minimum word error rate over n-best lists."""
    from seqtant.ctc.losses.mwer import NBestMWER

    return Objective([PlainCTC(blank=settings.blank), NBestMWER(weight, space=settings.space, blank=settings.blank)])


def bayes_risk(weight: float, settings: MethodSettings) -> Objective:
    """Bayes-risk CTC; the weight is the risk factor."""
    from seqtant.ctc.losses.bayes_risk import BayesRiskCTC

    return Objective([BayesRiskCTC(weight, blank=settings.blank)])


def label_prior(weight: float, settings: MethodSettings) -> Objective:
    """CTC with a label prior; the weight is the share of the log-prior taken out."""
    from seqtant.ctc.losses.label_prior import LabelPriorCTC

    return Objective([LabelPriorCTC(weight, blank=settings.blank)])


def _with_awp(weight: float, settings: MethodSettings, properties: list[LowLatency | MinimumWER]) -> Objective:
    purpose = AlignWithPurpose(
        properties,
        weight,
        num_samples=settings.num_samples,
        margin=settings.margin,
        temperature=settings.temperature,
        blank=settings.blank,
    )
    return Objective([PlainCTC(blank=settings.blank), purpose])
