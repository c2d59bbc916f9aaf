"""What a reader of any steering result must be told: mixtures of experts, lost precision, other models' vectors."""

from __future__ import annotations

from typing import Any

from seqtant.runs.recorder import Recorder
from seqtant.steering.applying.hooks import resolution_warning
from seqtant.steering.sweeping.bench import Bench

EXPERT_FIELDS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")


def warn_of(record: Recorder, bench: Bench, strengths: list[float]) -> None:
    """Records the warnings that model, vector and strengths call for."""
    config: Any = bench.model.model.config.get_text_config(decoder=True)
    experts = max((getattr(config, name, 0) or 0 for name in EXPERT_FIELDS), default=0)
    if experts > 1:
        record.warn(
            f"a mixture of {experts} experts: steering changes which experts are called, so curves may jump; the laws "
            "for small strengths may not hold"
        )
    if getattr(bench.model.model, "is_quantized", False):
        record.warn("a quantized model: losses near 0 hold the rounding of its weights too")
    small = [abs(value) for value in strengths if value]
    message = resolution_warning(bench.model, bench.vector, min(small)) if small else None
    if message:
        record.warn(message)
