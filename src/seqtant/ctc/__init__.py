"""Can my CTC model have the property I care about: earlier emission, fewer word errors? (Align With Purpose).

Importing this package loads neither NumPy nor torch; the public names below are imported when first used.
"""

from __future__ import annotations

from typing import Any

from seqtant.registry import import_attribute

_PUBLIC = {
    "run": "seqtant.ctc.instrument:run",
    "AlignConfig": "seqtant.ctc.config:AlignConfig",
    "DecodeConfig": "seqtant.ctc.config:DecodeConfig",
    "DiagnoseConfig": "seqtant.ctc.config:DiagnoseConfig",
    "FinetuneConfig": "seqtant.ctc.config:FinetuneConfig",
    "LatencyConfig": "seqtant.ctc.config:LatencyConfig",
    "StreamConfig": "seqtant.ctc.config:StreamConfig",
    "SweepConfig": "seqtant.ctc.config:SweepConfig",
    "TrainConfig": "seqtant.ctc.config:TrainConfig",
    "AlignWithPurpose": "seqtant.ctc.purpose:AlignWithPurpose",
    "AttachedPurpose": "seqtant.ctc.attach:AttachedPurpose",
    "BayesRiskCTC": "seqtant.ctc.bayes_risk:BayesRiskCTC",
    "BeamDecoder": "seqtant.ctc.beam:BeamDecoder",
    "DelayPenalizedCTC": "seqtant.ctc.delay_penalty:DelayPenalizedCTC",
    "Edit": "seqtant.ctc.properties:Edit",
    "GreedyDecoder": "seqtant.ctc.greedy:GreedyDecoder",
    "LabelPriorCTC": "seqtant.ctc.label_prior:LabelPriorCTC",
    "LiveListener": "seqtant.ctc.live:LiveListener",
    "LowLatency": "seqtant.ctc.low_latency:LowLatency",
    "METHODS": "seqtant.ctc.methods:METHODS",
    "MinimumWER": "seqtant.ctc.minimum_wer:MinimumWER",
    "NBestMWER": "seqtant.ctc.mwer:NBestMWER",
    "PROPERTIES": "seqtant.ctc.properties:PROPERTIES",
    "PathBatch": "seqtant.ctc.paths:PathBatch",
    "PeakFirst": "seqtant.ctc.peak_first:PeakFirst",
    "PlainCTC": "seqtant.ctc.terms:PlainCTC",
    "Property": "seqtant.ctc.properties:Property",
    "Recogniser": "seqtant.ctc.recogniser:Recogniser",
    "SampledMWER": "seqtant.ctc.mwer:SampledMWER",
    "Schedule": "seqtant.ctc.schedule:Schedule",
    "TrimTail": "seqtant.ctc.trim_tail:TrimTail",
    "check_ctc_gradient": "seqtant.ctc.diagnosis:check_ctc_gradient",
    "check_property": "seqtant.ctc.check:check_property",
    "forced_align": "seqtant.ctc.alignment:forced_align",
    "greedy_decode": "seqtant.ctc.greedy:greedy_decode",
    "trainer_callback": "seqtant.ctc.attach:trainer_callback",
}

__all__ = [*_PUBLIC]  # noqa: PLE0604  (the names are lazy, see __getattr__)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return import_attribute(_PUBLIC[name])
    raise AttributeError(f"module 'seqtant.ctc' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
