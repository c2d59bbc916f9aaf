"""Answers the checkup's question about a language model: does its shape suit the depth law?"""

from __future__ import annotations

from typing import Any

from seqtant.architecture.config import AuditConfig
from seqtant.architecture.instruments.audit import audit
from seqtant.findings import Result
from seqtant.runs.recorder import Context
from seqtant.sources import ModelSource


def check(model: ModelSource, context: Context, **inputs: Any) -> Result:
    """Audits the shape of a model.

    Args:
        model: Hugging Face folder, hub name, or a model in memory.
        context: Seed, device, folder and progress.
        **inputs: What other packages need; this one needs nothing but the model.
    """
    return audit.run(AuditConfig(model=model), context)
