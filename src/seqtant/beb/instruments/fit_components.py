"""Fits P- and P+ from statements of a behavior, and measures whether they tell held-out statements apart."""

from __future__ import annotations

import tempfile
from pathlib import Path

from seqtant.beb.components.fit import SIDES, fit_components
from seqtant.beb.config import FitComponentsConfig
from seqtant.beb.study.reporting import record_fit
from seqtant.findings import Result
from seqtant.lm.loading import load
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder


def run(config: FitComponentsConfig, context: Context) -> Result:
    """Fits both components and checks them on held-out statements."""
    title = f"P- and P+ on {config.base}"
    with Recorder("beb.fit-components", title, config, context, papers=(3,)) as record:
        base = load(config.base, device=context.device)
        folder = Path(config.to).expanduser() if config.to else context.folder
        with tempfile.TemporaryDirectory() as scratch:
            fitted = fit_components(config, base, config.base, folder or Path(scratch), context)
        for side, loss in fitted.losses.items():
            record.value(f"loss_{side}", loss)
        record.value("gate", config.gate)
        record.value("passed", int(fitted.passed))
        record_fit(record, fitted)
        if folder is None:
            record.warn("P- and P+ were not kept: give --to DIR or --out DIR")
        else:
            name, kind = ("adapter_model", "adapter") if config.rank else ("model", "weights")
            for side in SIDES:
                record.artifact(folder / side / f"{name}.safetensors", kind)
    return record.result
