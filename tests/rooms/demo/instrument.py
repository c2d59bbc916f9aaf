"""The public door."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result
from seqtant.rooms import dispatch
from seqtant.runs.context import Context


def run(config: Any, context: Context | None = None) -> Result:
    """Times a pendulum."""
    return dispatch(config, context or Context())
