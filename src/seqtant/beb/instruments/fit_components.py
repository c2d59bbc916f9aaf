"""Fits P- and P+ from statements of a behavior, and measures whether they tell held-out statements apart."""

from __future__ import annotations

import tempfile
from pathlib import Path

from seqtant.beb.components.fit import SIDES, fit_to_statements
from seqtant.beb.components.loading import load_to_change
from seqtant.beb.config import FitComponentsConfig
from seqtant.beb.study.inputs import title_of
from seqtant.beb.study.reporting import record_fit
from seqtant.findings import Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb


@verb(FitComponentsConfig)
def fit_components(config: FitComponentsConfig, context: Context) -> Result:
    """Fits P- and P+ to statements of a behavior, and measures whether they tell held-out statements apart.

    Two LoRA adapters, or with ``rank=0`` two small models: P- learns what somebody with the behavior says, P+ what
    somebody without it says. A held-out statement is told apart if it is likelier under its own side. The model stays
    as it is.

    Returns:
        ``told_apart``, the share of held-out statements; ``passed``, whether it reaches the gate; the training losses.

    Raises:
        InputError: The model or the statements cannot be used.
        MissingExtraError: Adapters are wanted and PEFT is not installed.

    Example:
        >>> found = fit_components("reference", max_statements=12, epochs=0.5, rank=0)
        >>> sorted(name for name in found.values if name.startswith("loss"))
        ['loss_minus', 'loss_plus']
    """
    title = f"P- and P+ on {title_of(config.model)}"
    with Recorder("beb.fit-components", title, config, context, papers=(3,)) as record:
        base = load_to_change(config.model, device=context.device)
        folder = Path(config.to).expanduser() if config.to else context.folder
        with tempfile.TemporaryDirectory() as scratch:
            fitted = fit_to_statements(config, base, config.model, folder or Path(scratch), context)
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
